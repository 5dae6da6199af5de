-- How far apart the scores of one response are.
SELECT prompt_id AS prompt, stddev_samp(score) AS value
FROM judgements GROUP BY prompt_id, response_id HAVING count(score) > 1
ORDER BY prompt_id, response_id
