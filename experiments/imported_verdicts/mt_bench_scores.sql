-- MT-Bench's model_judgment/JUDGE_single.jsonl: a score an answer and turn; -1 could not be read.
SELECT model AS "group", question_id AS prompt, nullif(score, -1) AS value
FROM read_json('gpt-4_single.jsonl', columns = {question_id: 'VARCHAR', model: 'VARCHAR', score: 'DOUBLE'})
