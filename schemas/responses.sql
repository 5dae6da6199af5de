-- Version 1.0. History: 1.0, the first.
-- One row per draw of the actor: K rows for each prompt.
CREATE TABLE responses (
    response_id       VARCHAR PRIMARY KEY,
    prompt_id         VARCHAR NOT NULL REFERENCES prompts (prompt_id),
    sample            INTEGER NOT NULL,
    seed              UBIGINT NOT NULL,
    text              VARCHAR NOT NULL,
    text_digest       VARCHAR NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    finish_reason     VARCHAR NOT NULL,
    logprob           DOUBLE
);
COMMENT ON TABLE responses IS 'One row per answer drawn from the actor: K rows for each prompt; and ready-made answers and probes, which were not drawn here';
COMMENT ON COLUMN responses.response_id IS 'r_ and 40 hexadecimal digits, from prompt, model, decoding parameters and sample: known before the text is; of a text that was not drawn here, from what it is made of';
COMMENT ON COLUMN responses.prompt_id IS 'The prompt that is answered';
COMMENT ON COLUMN responses.sample IS 'Which of the K draws, from 0';
COMMENT ON COLUMN responses.seed IS 'Seed of this draw alone, from the experiment''s seed and the id; 0 where it was not drawn here';
COMMENT ON COLUMN responses.text IS 'The answer, as decoded';
COMMENT ON COLUMN responses.text_digest IS 'BLAKE3 of the text, 64 hexadecimal digits: equal answers have equal digests';
COMMENT ON COLUMN responses.prompt_tokens IS 'Tokens read; 0 where it was not drawn here';
COMMENT ON COLUMN responses.completion_tokens IS 'Tokens drawn, the end token not counted; 0 where it was not drawn here';
COMMENT ON COLUMN responses.finish_reason IS 'stop: the model ended it; length: the token limit cut it';
COMMENT ON COLUMN responses.logprob IS 'Sum of the log-probabilities of the drawn tokens, in nats, at most 0; NULL where the engine does not know it';
