SELECT '{before}' AS model, prompt_id AS prompt, preference, response_chars, baseline_chars
FROM previous_verdicts
UNION ALL
SELECT '{after}', prompt_id, preference, response_chars, baseline_chars FROM verdicts
