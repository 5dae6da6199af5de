SELECT prompt_id AS prompt, standard_error AS value FROM ratings WHERE standard_error IS NOT NULL
