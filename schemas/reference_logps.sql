-- Version 1.0. History: 1.0, the first.
-- One row per kept pair: what the reference model thinks of both sides.
CREATE TABLE reference_logps (
    pair_id           VARCHAR PRIMARY KEY REFERENCES pairs (pair_id),
    ref_chosen_logps   DOUBLE NOT NULL,
    ref_rejected_logps DOUBLE NOT NULL,
    chosen_tokens      INTEGER NOT NULL,
    rejected_tokens    INTEGER NOT NULL
);
COMMENT ON TABLE reference_logps IS 'One row per kept pair: log-probabilities of both sides under the reference model of DPO';
COMMENT ON COLUMN reference_logps.pair_id IS 'The pair whose sides were scored';
COMMENT ON COLUMN reference_logps.ref_chosen_logps IS 'Summed log-probability of the chosen side, in nats, at most 0';
COMMENT ON COLUMN reference_logps.ref_rejected_logps IS 'Summed log-probability of the rejected side, in nats, at most 0';
COMMENT ON COLUMN reference_logps.chosen_tokens IS 'Tokens of the chosen side';
COMMENT ON COLUMN reference_logps.rejected_tokens IS 'Tokens of the rejected side';
