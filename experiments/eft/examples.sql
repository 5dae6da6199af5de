-- Evaluation fine-tuning (EFT): what a judge learns from, made of answers that people ranked.
--
-- In: ranked.jsonl, a message a line, with the fields of Open Assistant's exports (OASST1 and OASST2, messages
-- in one flat file): message_id, parent_id, role, text, lang, and rank, which is 0 for the best of the answers
-- to one prompt. Other fields are not read. `justification` is our own and may be absent: what a good judge
-- says of the answer.
-- Out: an example for each answer that is kept. `prompt` is the judge's prompt about the answer, `target` a
-- justification and a score, in the form in which the judge's template asks for them.
--
-- In the papers (Self-Rewarding, section 3.1, and Meta-Rewarding, section 3.1) a model writes the justification
-- and the score, and what it wrote is kept where its scores order the answers as people did. Here there is no
-- model yet: the score follows from the rank, and the justification from the data, or else from the score. With
-- judgements at hand, put the ones that agree into `justification`.

WITH
-- The types are said: a text that looks like a date or a number stays as it is.
messages AS (
    SELECT * FROM read_json('ranked.jsonl', columns = {
        message_id: 'VARCHAR', parent_id: 'VARCHAR', role: 'VARCHAR', text: 'VARCHAR', lang: 'VARCHAR',
        rank: 'INTEGER', justification: 'VARCHAR'})
    WHERE lang = 'en'
),

-- First turns only, as in the papers: a prompt without a parent, and the ranked answers to it. One answer alone
-- has a rank and says nothing.
answers AS (
    SELECT a.message_id AS id, p.text AS prompt, a.text AS response, a.justification,
        count(*) OVER same AS ranked,
        -- Answers to the same prompt that people put below this one.
        count(*) OVER same - rank() OVER (same ORDER BY a.rank) AS below
    FROM messages p JOIN messages a ON a.parent_id = p.message_id
    WHERE p.parent_id IS NULL AND p.role = 'prompter' AND a.role = 'assistant' AND a.rank IS NOT NULL
    WINDOW same AS (PARTITION BY p.message_id)
    QUALIFY ranked >= 2
),

-- A rank says who is better, and not how good. The scale from 0 to 5 is cut into as many equal parts as there
-- are ranked answers, and each gets the score in the middle of its part: 4 and 1 of two answers, 5, 3 and 1 of
-- three, 5, 3, 2 and 0 of four. No answer scores above one that people put before it.
scored AS (
    SELECT *, (6 * (2 * below + 1)) // (2 * ranked) AS score FROM answers
),

-- A judge that mostly sees one score learns to say it; the papers found many more 4s than others, and discarded
-- some. Here every score is shown as often as the rarest one: which answers stay is drawn by a digest of their
-- ids, so it is the same draw every time. For a gentler cut, raise `most`.
rarest AS (
    SELECT min(n) AS most FROM (SELECT count(*) AS n FROM scored GROUP BY score)
),

even AS (
    SELECT * FROM scored, rarest
    QUALIFY row_number() OVER (PARTITION BY score ORDER BY md5_number(id), id) <= most
),

-- The loop's own template, cut at its two places: texts are put between its parts, and never searched. Jinja
-- drops the newline that ends a file.
template AS (
    SELECT string_split(rtrim(content, chr(10)), '{{ prompt }}') AS around_prompt,
        string_split(around_prompt[2], '{{ response }}') AS around_response
    FROM read_text('judge.jinja')
),

said AS (
    SELECT *, coalesce(justification, [
        'The response has nothing to do with what was asked.',
        'The response is about what was asked, and leaves most of it open.',
        'The response covers a good part of the question, and does not resolve it.',
        'The response answers the basic elements of the question in a useful way.',
        'The response answers the question directly and completely, and leaves only small things to improve.',
        'The response is tailored to the question, with expert knowledge and nothing superfluous.'
    ][score + 1]) AS why
    FROM even
)

SELECT
    -- NULL, and so an error, where a template does not show each of the two once, in this order.
    if(len(around_prompt) = 2 AND len(around_response) = 2,
        around_prompt[1] || prompt || around_response[1] || response || around_response[2],
        NULL) AS prompt,
    why || chr(10) || 'Score: ' || score AS target,
    'judge' AS category
FROM said, template
ORDER BY md5_number(id), id
