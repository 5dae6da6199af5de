SELECT question_id, coalesce(category, 'other') AS category, [prompt] AS turns, prompt_id
FROM asked ORDER BY question_id
