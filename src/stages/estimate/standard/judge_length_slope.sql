-- Points for 100 more characters, among the responses to one prompt.
SELECT j.prompt_id AS prompt, 100 * regr_slope(j.score, len(r.text)) AS value
FROM judgements j JOIN responses r USING (response_id)
WHERE j.score IS NOT NULL
GROUP BY ALL HAVING var_pop(len(r.text)) > 0 ORDER BY ALL
