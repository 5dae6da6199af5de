SELECT answer_id, len(response) AS score FROM answers
