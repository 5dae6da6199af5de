-- Version 1.0. History: 1.0, the first.
-- One row per player of a prompt's tournament of judgements.
CREATE TABLE ratings (
    prompt_id      VARCHAR NOT NULL REFERENCES prompts (prompt_id),
    response_id    VARCHAR NOT NULL REFERENCES responses (response_id),
    judgement_id   VARCHAR PRIMARY KEY REFERENCES judgements (judgement_id),
    strength       DOUBLE NOT NULL,
    standard_error DOUBLE,
    bouts          INTEGER NOT NULL,
    wins           DOUBLE NOT NULL,
    omega_first    DOUBLE NOT NULL,
    omega_second   DOUBLE NOT NULL
);
COMMENT ON TABLE ratings IS 'One row per judgement that was compared with others: its Elo strength within its prompt (Meta-Rewarding, section 2.2)';
COMMENT ON COLUMN ratings.prompt_id IS 'The prompt whose tournament it is';
COMMENT ON COLUMN ratings.response_id IS 'The response that all players judged';
COMMENT ON COLUMN ratings.judgement_id IS 'The player; of judgements with equal texts, the first';
COMMENT ON COLUMN ratings.strength IS 'Bradley-Terry strength in natural-log units, mean 0 within the prompt';
COMMENT ON COLUMN ratings.standard_error IS 'Approximate standard error of the strength, same unit; NULL where no bout was decided';
COMMENT ON COLUMN ratings.bouts IS 'Comparisons it took part in that named a winner';
COMMENT ON COLUMN ratings.wins IS 'Comparisons it won, each weighted with the omega of the position it won from';
COMMENT ON COLUMN ratings.omega_first IS 'Weight of a win from the first position, 0 to 1: the share of wins that went to the second';
COMMENT ON COLUMN ratings.omega_second IS 'Weight of a win from the second position, 0 to 1: 1 less omega_first';
