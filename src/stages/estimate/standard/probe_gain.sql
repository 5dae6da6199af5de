-- How many points more than the real answer to the same prompt a probe gets. Equal texts are judged once.
WITH judged AS (
    SELECT r.prompt_id AS prompt, r.text_digest, avg(j.score) AS score
    FROM judgements j JOIN responses r USING (response_id) GROUP BY ALL
),
scored AS (
    SELECT r.prompt_id AS prompt, r.sample, j.score
    FROM responses r JOIN judged j ON r.prompt_id = j.prompt AND r.text_digest = j.text_digest
)
SELECT p.prompt, ([{probes}])[p.sample] AS "group", p.score - real.score AS value
FROM scored p JOIN scored real ON p.prompt = real.prompt AND real.sample = 0
WHERE p.sample > 0 AND value IS NOT NULL
ORDER BY ALL
