-- Instructions without answers, one a line: 20,000 of them for four iterations.
SELECT instruction AS prompt FROM read_json('llama3_8b/prompts.jsonl')
