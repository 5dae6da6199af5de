-- `scored` are the real answers of the panel, with the oracle's scores.
SELECT j.prompt_id AS prompt, j.score AS "first", o.score::DOUBLE AS "second"
FROM judgements j JOIN scored o ON j.response_id = o.answer_id
ORDER BY j.judgement_id
