SELECT j.prompt_id AS prompt, s.score::VARCHAR AS "group",
    avg((round(j.score) = s.score)::INT) AS value, count(*) AS weight
FROM judgements j,
    (SELECT DISTINCT round(score)::INT AS score FROM judgements WHERE score IS NOT NULL) s
WHERE j.score IS NOT NULL GROUP BY ALL ORDER BY ALL
