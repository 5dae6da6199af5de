-- In the first game A is the baseline, in the second the model. A verdict without an order stands for both.
, seen AS (
    SELECT *, unnest(CASE first_shown WHEN 'baseline' THEN [0] WHEN 'model' THEN [1] ELSE [0, 1] END) AS game,
        if(game = 0, 1 - preference, preference) AS first_wins
    FROM {games}
), told AS (
    SELECT *, {'score': {level}, 'judgment': {'answer': coalesce(text, '')},
        'prompt': []::STRUCT("role" VARCHAR, "content" VARCHAR)[], 'verdict_id': verdict_id} AS told
    FROM seen
)
SELECT prompt_id AS uid, coalesce(any_value(category), 'hard_prompt') AS category, any_value(judge_name) AS judge,
    any_value(generator) AS model, any_value(baseline_name) AS baseline,
    [any_value(told) FILTER (game = 0), any_value(told) FILTER (game = 1)] AS games
FROM told GROUP BY prompt_id, response_id, baseline_response_id
ORDER BY any_value(question_id), any_value(sample), baseline_response_id
