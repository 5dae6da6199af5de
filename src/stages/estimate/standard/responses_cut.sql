SELECT prompt_id AS prompt, finish_reason = 'length' AS value FROM responses
