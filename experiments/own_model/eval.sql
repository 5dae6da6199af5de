-- Prompts that are asked in evaluation, and nowhere else.
SELECT prompt, category
FROM read_json('eval.jsonl', columns = {prompt: 'VARCHAR', category: 'VARCHAR'})
