-- Points for 100 more characters, among the responses to one prompt.
SELECT j.prompt_id AS prompt, 100 * regr_slope(j.score, r.chars) AS value
FROM judgements j JOIN (SELECT response_id, len(text) AS chars FROM responses) r USING (response_id)
WHERE j.score IS NOT NULL
GROUP BY ALL HAVING var_pop(r.chars) > 0 ORDER BY ALL
