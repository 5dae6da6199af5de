-- Version 1.0. History: 1.0, the first.
-- One row per prompt of an iteration's share. Shares of one experiment are disjoint.
CREATE TABLE prompts (
    prompt_id VARCHAR PRIMARY KEY,
    position  INTEGER NOT NULL,
    prompt    VARCHAR NOT NULL,
    messages  STRUCT("role" VARCHAR, "content" VARCHAR)[] NOT NULL,
    reference VARCHAR,
    category  VARCHAR,
    source    VARCHAR
);
COMMENT ON TABLE prompts IS 'One row per prompt of an iteration''s share; shares of one experiment are disjoint';
COMMENT ON COLUMN prompts.prompt_id IS 'p_ and 40 hexadecimal digits, from the messages alone: the same prompt has the same id everywhere';
COMMENT ON COLUMN prompts.position IS 'Place in the seeded order of the share, from 0';
COMMENT ON COLUMN prompts.prompt IS 'The text a judge is shown: the prompt itself, or of a conversation each message as `role: content`';
COMMENT ON COLUMN prompts.messages IS 'The conversation that is sent to the model, in order; role is system, user or assistant';
COMMENT ON COLUMN prompts.reference IS 'The right answer, where the source has one; read by evaluation only';
COMMENT ON COLUMN prompts.category IS 'The source''s own category';
COMMENT ON COLUMN prompts.source IS 'Where the prompt comes from, in the source''s own words';
