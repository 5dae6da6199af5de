-- What the tiny model learns before it is M0: how an answer begins, and that a judge says one token. A model
-- that can do both already needs none of this.
WITH
answers AS (
    SELECT * FROM read_json('prompts.jsonl', columns = {prompt: 'VARCHAR', response: 'VARCHAR'})
),

-- The judge's own template, cut at its three places: texts are put between its parts, and never searched.
template AS (
    SELECT string_split(rtrim(content, chr(10)), '{{ prompt }}') AS of_prompt,
        string_split(of_prompt[2], '{{ response_a }}') AS of_first,
        string_split(of_first[2], '{{ response_b }}') AS of_second
    FROM read_text('judge.jinja')
),

-- An answer against the first half of itself is the better one, in either order.
judged AS (
    SELECT prompt, response AS whole, response[:len(response) // 2] AS half, unnest(['m', 'M']) AS better
    FROM answers
)

SELECT prompt, response AS target, 'actor' AS category FROM answers
UNION ALL
SELECT of_prompt[1] || prompt || of_first[1] || if(better = 'm', whole, half) || of_second[1]
        || if(better = 'm', half, whole) || of_second[2],
    better, 'judge'
FROM judged, template
ORDER BY ALL
