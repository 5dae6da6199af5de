SELECT prompt_id AS prompt, len(text) AS value FROM responses
