-- MT-Bench's model_judgment/JUDGE_pair.jsonl: two games of model_1 against model_2, in both orders. FastChat makes a tie
-- of games that disagree, and leaves out both where one is an error; here each game counts.
WITH games AS (
    SELECT model_1, question_id, unnest([g1_winner, g2_winner]) AS winner
    FROM read_json('gpt-4_pair.jsonl', columns = {question_id: 'VARCHAR', model_1: 'VARCHAR',
        g1_winner: 'VARCHAR', g2_winner: 'VARCHAR'})
)
SELECT model_1 AS "group", question_id AS prompt,
    CASE winner WHEN 'model_1' THEN 1.0 WHEN 'tie' THEN 0.5 WHEN 'model_2' THEN 0.0 END AS preference
FROM games
