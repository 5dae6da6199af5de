-- Version 1.0. History: 1.0, the first.
-- One row per text that was read: what it says, or why nothing could be read.
CREATE TABLE readings (
    judgement_id      VARCHAR REFERENCES judgements (judgement_id),
    meta_judgement_id VARCHAR REFERENCES meta_judgements (meta_judgement_id),
    value             DOUBLE,
    status            VARCHAR NOT NULL,
    rule              VARCHAR NOT NULL
);
COMMENT ON TABLE readings IS 'One row per judgement or meta-judgement read: its value, or the reason why it has none; reading again never generates';
COMMENT ON COLUMN readings.judgement_id IS 'The judgement that was read, else NULL';
COMMENT ON COLUMN readings.meta_judgement_id IS 'The meta-judgement that was read, else NULL';
COMMENT ON COLUMN readings.value IS 'Judgement: the score, 0 to 5. Meta-judgement: 1 the first shown wins, -1 the second, 0 a tie. NULL unless status is ok';
COMMENT ON COLUMN readings.status IS 'ok; missing: no marker; off_scale: a number outside 0 to 5, or with decimals where they are refused; truncated: cut by the token limit; ambiguous: the last marker names no number or no one';
COMMENT ON COLUMN readings.rule IS 'Which reading rule, with its version, as score-1';
