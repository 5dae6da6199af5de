-- Version 1.0. History: 1.0, the first.
-- One row per epoch that a model was chosen among.
CREATE TABLE choices (
    epoch    INTEGER NOT NULL,
    chosen   BOOLEAN NOT NULL,
    rule     VARCHAR NOT NULL,
    estimate VARCHAR,
    value    DOUBLE,
    low      DOUBLE,
    high     DOUBLE,
    level    DOUBLE,
    n        BIGINT
);
COMMENT ON TABLE choices IS 'One row per epoch of a training whose epochs are kept: which one is the model, and why';
COMMENT ON COLUMN choices.epoch IS 'The epoch, from 1, after which the weights were kept';
COMMENT ON COLUMN choices.chosen IS 'Whether these weights are the model: true in one row';
COMMENT ON COLUMN choices.rule IS 'last, epoch (the experiment names it) or best (the highest value; of equal ones the earliest)';
COMMENT ON COLUMN choices.estimate IS 'The estimate over the validation prompts that best goes by, as win_rate; NULL by another rule';
COMMENT ON COLUMN choices.value IS 'Its value for this epoch; NULL by another rule, and where it does not exist';
COMMENT ON COLUMN choices.low IS 'Lower end of its interval, in the unit of value';
COMMENT ON COLUMN choices.high IS 'Upper end of its interval, in the unit of value';
COMMENT ON COLUMN choices.level IS 'Nominal coverage of the interval, as 0.95';
COMMENT ON COLUMN choices.n IS 'Independent units behind it: validation prompts';
