-- A row a prompt. More columns may stand beside it: `reference`, `category`, `source`.
SELECT prompt, category
FROM read_json('prompts.jsonl', columns = {prompt: 'VARCHAR', category: 'VARCHAR'})
