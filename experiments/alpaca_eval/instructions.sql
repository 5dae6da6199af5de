-- AlpacaEval's instructions, as its file of the baseline's answers has them.
SELECT instruction AS prompt, dataset AS category, 'alpaca_eval' AS source
FROM read_json('alpaca_eval_gpt4_baseline.json', columns = {dataset: 'VARCHAR', instruction: 'VARCHAR'})
