SELECT t.prompt_id AS prompt, s.status AS "group", avg((t.status = s.status)::INT) AS value,
    count(*) AS weight
FROM {table} t, (SELECT DISTINCT status FROM {table}) s
GROUP BY ALL ORDER BY ALL
