-- A preference of 1 is the baseline's win, of 2 the model's; NULL, where the verdict could not be read.
SELECT prompt AS instruction, baseline_response AS output_1, baseline_name AS generator_1,
    coalesce(category, source, {experiment}) AS dataset, response AS output_2, generator AS generator_2,
    judge_name AS annotator, 1 + preference AS preference, text AS raw_completion,
    if(first_shown = 'none', NULL, first_shown = 'model') AS is_switched_outputs
FROM {games} ORDER BY question_id, sample, baseline_response_id, first_shown
