SELECT coalesce(category, source, {experiment}) AS dataset, prompt AS instruction, text AS output, generator
FROM {answers} ORDER BY question_id, sample
