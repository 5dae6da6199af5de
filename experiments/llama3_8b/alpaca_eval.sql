-- AlpacaEval's instructions, with the answers that its baseline gave.
SELECT instruction AS prompt, dataset AS category, 'alpaca_eval' AS source
FROM read_json('llama3_8b/alpaca_eval.jsonl')
