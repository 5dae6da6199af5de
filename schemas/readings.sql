-- Version 1.1. History: 1.0, the first; 1.1, with soft_value.
-- One row per text that was read: what it says, or why nothing could be read.
CREATE TABLE readings (
    judgement_id      VARCHAR REFERENCES judgements (judgement_id),
    meta_judgement_id VARCHAR REFERENCES meta_judgements (meta_judgement_id),
    value             DOUBLE,
    soft_value        DOUBLE,
    status            VARCHAR NOT NULL,
    rule              VARCHAR NOT NULL
);
COMMENT ON TABLE readings IS 'One row per judgement or meta-judgement read: its value, or the reason why it has none; reading again never generates';
COMMENT ON COLUMN readings.judgement_id IS 'The judgement that was read, else NULL';
COMMENT ON COLUMN readings.meta_judgement_id IS 'The meta-judgement that was read, else NULL';
COMMENT ON COLUMN readings.value IS 'Judgement: the score, 0 to 5 or, by the rule rating, 1 to 10. Meta-judgement: 1 where the first shown wins, -1 where the second does, 0 for a tie. NULL unless status is ok';
COMMENT ON COLUMN readings.soft_value IS 'Where the verdict was weighed (decide = "score"): the mean of the values of all verdicts, each weighted by its probability; pairs and ratings take it in place of the value. NULL where a text was written';
COMMENT ON COLUMN readings.status IS 'ok; missing: no marker; off_scale: a number outside the rule''s scale, or with decimals where they are refused; truncated: cut by the token limit; ambiguous: the last marker is followed by no number, or names no winner; refused: there is no text, because the model did not take the prompt';
COMMENT ON COLUMN readings.rule IS 'Which reading rule, with its version, as score-1';
