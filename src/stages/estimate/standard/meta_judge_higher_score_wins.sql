SELECT prompt, avg((winner = higher)::INT) AS value, count(*) AS weight
FROM compared WHERE higher != 0 GROUP BY ALL ORDER BY ALL
