SELECT j.prompt_id AS prompt, j.score AS x, o.score::DOUBLE AS y
FROM judgements j JOIN scored o ON j.response_id = o.answer_id
ORDER BY j.judgement_id
