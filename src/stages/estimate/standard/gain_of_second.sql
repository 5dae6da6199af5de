-- Each game as both sides see it; the first model is the baseline of the other.
SELECT '{first}' AS model, prompt_id AS prompt, 1 - preference AS preference
FROM verdicts
UNION ALL
SELECT '{second}', prompt_id, preference FROM verdicts
