-- In the first game model_1, the model, is shown first, in the second model_2. A verdict without an order stands
-- for both.
, seen AS (
    SELECT *, unnest(CASE first_shown WHEN 'model' THEN [1] WHEN 'baseline' THEN [2] ELSE [1, 2] END) AS game,
        CASE WHEN preference > 0.5 THEN 'model_1' WHEN preference < 0.5 THEN 'model_2'
            WHEN preference = 0.5 THEN 'tie' ELSE 'error' END AS winner
    FROM played
)
SELECT question_id, any_value(generator) AS model_1, any_value(baseline_name) AS model_2,
    coalesce(any_value(winner) FILTER (game = 1), 'error') AS g1_winner,
    coalesce(any_value(winner) FILTER (game = 2), 'error') AS g2_winner,
    [any_value(judge_name), 'mrx'] AS judge, NULL::VARCHAR AS g1_user_prompt,
    any_value(s.text) FILTER (game = 1) AS g1_judgment, NULL::VARCHAR AS g2_user_prompt,
    any_value(s.text) FILTER (game = 2) AS g2_judgment, 1 AS turn, max(epoch(r.started)) AS tstamp,
    any_value(verdict_id) FILTER (game = 1) AS g1_verdict_id, any_value(verdict_id) FILTER (game = 2) AS g2_verdict_id
FROM seen s LEFT JOIN runs r USING (run)
GROUP BY question_id, response_id, baseline_response_id
ORDER BY model_1, question_id, any_value(sample), baseline_response_id
