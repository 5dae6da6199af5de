SELECT prompt_id AS prompt, first_shown AS "order", preference, response_id AS item FROM verdicts
