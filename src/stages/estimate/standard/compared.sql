WITH players AS (
    -- One response of a prompt has its judgements compared: the others' need not be looked up.
    SELECT judgement_id, score
    FROM judgements SEMI JOIN (SELECT DISTINCT response_id FROM meta_judgements) USING (response_id)
),
compared AS (
    SELECT m.prompt_id AS prompt, m.winner, sign(a.score - b.score) AS higher
    FROM meta_judgements m
    JOIN players a ON m.first_judgement_id = a.judgement_id
    JOIN players b ON m.second_judgement_id = b.judgement_id
    WHERE m.winner != 0
)
