WITH compared AS (
    SELECT m.prompt_id AS prompt, m.winner, sign(a.score - b.score) AS higher
    FROM meta_judgements m
    JOIN judgements a ON m.first_judgement_id = a.judgement_id
    JOIN judgements b ON m.second_judgement_id = b.judgement_id
    WHERE m.winner != 0
)
