-- Version 1.0. History: 1.0, the first.
-- One row per estimated number.
CREATE TABLE estimates (
    name     VARCHAR NOT NULL,
    "group"  VARCHAR NOT NULL,
    value    DOUBLE,
    low      DOUBLE,
    high     DOUBLE,
    level    DOUBLE,
    n        BIGINT NOT NULL,
    method   VARCHAR NOT NULL,
    seed     UBIGINT
);
COMMENT ON TABLE estimates IS 'One row per estimated number, with its interval';
COMMENT ON COLUMN estimates.name IS 'What is estimated, as win_rate; what stands beside it, as win_rate/bca or win_rate/unreadable';
COMMENT ON COLUMN estimates."group" IS 'What it is estimated for: all, a group of the query, or a player';
COMMENT ON COLUMN estimates.value IS 'The estimate; NULL where it does not exist, and method says why';
COMMENT ON COLUMN estimates.low IS 'Lower end of the interval, in the unit of value';
COMMENT ON COLUMN estimates.high IS 'Upper end of the interval, in the unit of value';
COMMENT ON COLUMN estimates.level IS 'Nominal coverage of the interval, as 0.95';
COMMENT ON COLUMN estimates.n IS 'Independent units behind it: prompts; rows only where method says over rows';
COMMENT ON COLUMN estimates.method IS 'How it was found, as wilson over prompts, or bootstrap-bca over prompts, 1000 resamples; why it does not exist';
COMMENT ON COLUMN estimates.seed IS 'Seed of the resampling; NULL where nothing is resampled';
