-- What the loop itself asks: nothing that is asked in evaluation.
SELECT prompt FROM read_json('prompts.jsonl', columns = {prompt: 'VARCHAR'})
