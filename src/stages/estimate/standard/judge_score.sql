SELECT prompt_id AS prompt, avg(score) AS value, count(*) AS weight
FROM judgements WHERE score IS NOT NULL GROUP BY ALL ORDER BY ALL
