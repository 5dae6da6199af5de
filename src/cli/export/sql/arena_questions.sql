SELECT prompt_id AS uid, coalesce(category, 'hard_prompt') AS category, source AS subcategory, prompt
FROM asked ORDER BY question_id
