-- A baseline's answers, of its file in model_answer/: a question and an answer are messages there, and the
-- answer's content is an object.
SELECT question.prompt, from_json(answer.messages, '[{"role": "VARCHAR", "content": "JSON"}]')
        .list_filter(lambda m: m.role = 'assistant')[1].content ->> '$.answer' AS response
FROM read_json('question.jsonl', columns = {uid: 'VARCHAR', prompt: 'VARCHAR'}) question
JOIN read_json('model_answer/gpt-4-0314.jsonl', columns = {uid: 'VARCHAR', messages: 'JSON'}) answer USING (uid)
