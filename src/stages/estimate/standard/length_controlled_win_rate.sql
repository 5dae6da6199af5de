SELECT prompt_id AS prompt, preference, response_chars, baseline_chars FROM verdicts
