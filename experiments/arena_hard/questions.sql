-- Arena-Hard's questions, of its question.jsonl: v2.0 has uid, category, subcategory and prompt, and v0.1 uid,
-- category, cluster and prompt.
SELECT prompt, category, 'arena_hard' AS source
FROM read_json('question.jsonl', columns = {prompt: 'VARCHAR', category: 'VARCHAR'})
