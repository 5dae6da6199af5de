SELECT prompt_id AS prompt, preference FROM verdicts
