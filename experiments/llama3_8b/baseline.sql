SELECT instruction AS prompt, output AS response FROM read_json('llama3_8b/alpaca_eval.jsonl')
