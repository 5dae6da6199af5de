-- The baseline's answers, out of a file as `alpaca_eval` writes them (model_outputs.json): an array of
-- objects with dataset, instruction, output and generator. Any other model's file serves as well.
SELECT instruction AS prompt, output AS response
FROM read_json('alpaca_eval_gpt4_baseline.json', columns = {instruction: 'VARCHAR', output: 'VARCHAR'})
