-- The content of a question is a text and that of an answer an object: no column holds both, so each row is
-- a text of JSON. Style is counted as upstream counts it, outside of code.
, told AS (
    SELECT *, regexp_replace(text, '```[^`]*```', '', 'g') AS prose FROM {answers}
)
SELECT json_object('uid', prompt_id, 'ans_id', response_id, 'model', generator,
    'messages', json_array(json_object('role', 'user', 'content', prompt),
        json_object('role', 'assistant', 'content', json_object('answer', text))),
    'tstamp', epoch(r.started),
    'metadata', json_object('token_len', greatest(1, (len(text) + 3) // 4),
        'header_count', json_object(
            'h1', len(regexp_extract_all(prose, '(?m)^#{1}\s')), 'h2', len(regexp_extract_all(prose, '(?m)^#{2}\s')),
            'h3', len(regexp_extract_all(prose, '(?m)^#{3}\s')), 'h4', len(regexp_extract_all(prose, '(?m)^#{4}\s')),
            'h5', len(regexp_extract_all(prose, '(?m)^#{5}\s')), 'h6', len(regexp_extract_all(prose, '(?m)^#{6}\s'))),
        'list_count', json_object('ordered', len(regexp_extract_all(prose, '(?m)^\s*\d+\.\s')),
            'unordered', len(regexp_extract_all(prose, '(?m)^\s*[-*+]\s'))),
        'bold_count', json_object('**', len(regexp_extract_all(prose, '\*\*[^*\n]+\*\*')),
            '__', len(regexp_extract_all(prose, '__[^_\n]+__')))))::VARCHAR AS line
FROM told LEFT JOIN runs r USING (run) ORDER BY question_id, sample
