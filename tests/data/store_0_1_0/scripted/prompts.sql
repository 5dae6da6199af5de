-- Any DuckDB query over the declared files makes prompts, as long as it gives a column `prompt`.
SELECT instruction AS prompt, answer AS reference, kind AS category, 'prompts.jsonl' AS source
FROM read_json('prompts.jsonl')
