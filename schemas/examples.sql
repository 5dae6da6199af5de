-- Version 1.0. History: 1.0, the first.
-- One row per supervised example: what fine-tuning makes M0 from.
CREATE TABLE examples (
    example_id VARCHAR PRIMARY KEY,
    position   INTEGER NOT NULL,
    messages   STRUCT("role" VARCHAR, "content" VARCHAR)[] NOT NULL,
    target     VARCHAR NOT NULL,
    category   VARCHAR
);
COMMENT ON TABLE examples IS 'One row per supervised example (prompt, target): what fine-tuning makes M0 from';
COMMENT ON COLUMN examples.example_id IS 'x_ and 40 hexadecimal digits, from the messages, the target, and how many equal examples stand before it';
COMMENT ON COLUMN examples.position IS 'Place in the order of training before it is shuffled, from 0';
COMMENT ON COLUMN examples.messages IS 'The conversation up to the answer, in order';
COMMENT ON COLUMN examples.target IS 'The answer to learn; the loss counts its tokens only';
COMMENT ON COLUMN examples.category IS 'What the example teaches, as actor, judge or meta_judge';
