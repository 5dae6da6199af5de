-- How much a win from the first position weighs.
SELECT prompt_id AS prompt, any_value(omega_first) AS value FROM ratings GROUP BY ALL ORDER BY ALL
