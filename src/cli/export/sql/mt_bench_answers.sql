SELECT question_id, any_value(response_id ORDER BY sample) AS answer_id, any_value(generator) AS model_id,
    list({'index': sample, 'turns': [text]} ORDER BY sample) AS choices, max(epoch(r.started)) AS tstamp
FROM {answers} LEFT JOIN runs r USING (run) GROUP BY question_id ORDER BY question_id
