-- Version 1.1. History: 1.0, the first; 1.1, with refusal, thinking and completion_ids.
-- One row per draw of the actor: K rows for each prompt.
CREATE TABLE responses (
    response_id       VARCHAR PRIMARY KEY,
    prompt_id         VARCHAR NOT NULL REFERENCES prompts (prompt_id),
    sample            INTEGER NOT NULL,
    seed              UBIGINT NOT NULL,
    text              VARCHAR NOT NULL,
    thinking          VARCHAR,
    text_digest       VARCHAR NOT NULL,
    completion_ids    UINTEGER[],
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    finish_reason     VARCHAR NOT NULL,
    logprob           DOUBLE,
    refusal           VARCHAR
);
COMMENT ON TABLE responses IS 'One row per answer drawn from the actor: K rows for each prompt; and ready-made answers and probes, which were not drawn here';
COMMENT ON COLUMN responses.response_id IS 'r_ and 40 hexadecimal digits, from prompt, model, decoding parameters and sample: known before the text is; of a text that was not drawn here, from what it is made of';
COMMENT ON COLUMN responses.prompt_id IS 'The prompt that is answered';
COMMENT ON COLUMN responses.sample IS 'Which of the K draws, from 0';
COMMENT ON COLUMN responses.seed IS 'Seed of this draw alone, from the experiment''s seed and the id; 0 where it was not drawn here';
COMMENT ON COLUMN responses.text IS 'The answer, as decoded, without thinking';
COMMENT ON COLUMN responses.thinking IS 'What stood between the thinking markers, taken out of the text; NULL where nothing did';
COMMENT ON COLUMN responses.text_digest IS 'BLAKE3 of the text, 64 hexadecimal digits: equal answers have equal digests';
COMMENT ON COLUMN responses.completion_ids IS 'Ids of the drawn tokens in their order, thinking and the end token included: what training takes; NULL where the engine does not give them';
COMMENT ON COLUMN responses.prompt_tokens IS 'Tokens read; 0 where it was not drawn here';
COMMENT ON COLUMN responses.completion_tokens IS 'Tokens drawn, the end token not counted; 0 where it was not drawn here';
COMMENT ON COLUMN responses.finish_reason IS 'stop: the model ended it; length: the token limit cut it; refused: the model did not take the prompt, and there is no text';
COMMENT ON COLUMN responses.logprob IS 'Sum of the log-probabilities of the drawn tokens, in nats, at most 0; NULL where the engine does not know it';
COMMENT ON COLUMN responses.refusal IS 'Why the model did not take the prompt; NULL unless finish_reason is refused';
