-- `scored` are the answers, with the oracle's scores.
SELECT prompt_id AS prompt, score::DOUBLE AS value
FROM scored JOIN responses ON answer_id = response_id
ORDER BY response_id
