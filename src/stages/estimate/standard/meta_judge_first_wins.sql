SELECT prompt, g."group", avg((winner = 1)::INT) AS value, count(*) AS weight
FROM compared,
    (VALUES ('all', [-1, 0, 1]), ('same score', [0]), ('different scores', [-1, 1])) g("group", of)
WHERE list_contains(of, higher) GROUP BY ALL ORDER BY ALL
