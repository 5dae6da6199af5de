-- Version 1.0. History: 1.0, the first.
-- One row per example or pair that a trainer in another program learned from.
CREATE TABLE lessons (
    row_id             VARCHAR PRIMARY KEY,
    prompt_ids         UINTEGER[] NOT NULL,
    chosen_ids         UINTEGER[] NOT NULL,
    rejected_ids       UINTEGER[],
    ref_chosen_logps   DOUBLE,
    ref_rejected_logps DOUBLE
);
COMMENT ON TABLE lessons IS 'One row per example or pair that a trainer in another program learned from, in token ids';
COMMENT ON COLUMN lessons.row_id IS 'The pair (pair_id), or the example (example_id)';
COMMENT ON COLUMN lessons.prompt_ids IS 'Ids of the tokens that are read';
COMMENT ON COLUMN lessons.chosen_ids IS 'Ids of the tokens that are learned: the preferred side of a pair, the target of an example';
COMMENT ON COLUMN lessons.rejected_ids IS 'Ids of the other side of a pair; null for an example';
COMMENT ON COLUMN lessons.ref_chosen_logps IS 'Summed log-probability of the chosen side under the reference model, in nats; null where the trainer computed it';
COMMENT ON COLUMN lessons.ref_rejected_logps IS 'The same of the rejected side';
