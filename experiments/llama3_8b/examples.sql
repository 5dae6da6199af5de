-- Judgements to learn from: the judge's prompt about an answer, and what a good judge says of it, with its
-- score. The paper makes them from Open Assistant's human rankings, as eft/examples.sql does.
SELECT prompt, target, 'judge' AS category FROM read_json('llama3_8b/examples.jsonl')
