-- Version 1.1. History: 1.0, the first; 1.1, with refusal, thinking, completion_ids and weighed.
-- One row per draw of the judge: N rows for each distinct response. Nothing is parsed here.
CREATE TABLE judgements (
    judgement_id      VARCHAR PRIMARY KEY,
    prompt_id         VARCHAR NOT NULL REFERENCES prompts (prompt_id),
    response_id       VARCHAR NOT NULL REFERENCES responses (response_id),
    sample            INTEGER NOT NULL,
    weighed           STRUCT("verdict" VARCHAR, "value" DOUBLE, "logprob" DOUBLE)[],
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
COMMENT ON TABLE judgements IS 'One row per judgement drawn: N rows for each distinct response of a prompt; the text as it came, nothing parsed';
COMMENT ON COLUMN judgements.judgement_id IS 'j_ and 40 hexadecimal digits, from response, model, template, decoding parameters and sample: known before the text is';
COMMENT ON COLUMN judgements.prompt_id IS 'The prompt that was answered';
COMMENT ON COLUMN judgements.response_id IS 'The response that is judged; of equal responses to a prompt, the first';
COMMENT ON COLUMN judgements.sample IS 'Which of the N draws, from 0';
COMMENT ON COLUMN judgements.weighed IS 'Where the verdict was not written but weighed (decide = "score"): each verdict that there may be, its value, and its log-probability among them, in nats; the text is the one that was drawn of them. NULL where a text was written';
COMMENT ON COLUMN judgements.seed IS 'Seed of this draw alone, from the experiment''s seed and the id';
COMMENT ON COLUMN judgements.text IS 'The judgement, as decoded';
COMMENT ON COLUMN judgements.thinking IS 'What stood between the thinking markers, taken out of the text; NULL where nothing did';
COMMENT ON COLUMN judgements.text_digest IS 'BLAKE3 of the text, 64 hexadecimal digits';
COMMENT ON COLUMN judgements.completion_ids IS 'Ids of the drawn tokens in their order, thinking and the end token included: what training takes; NULL where the engine does not give them';
COMMENT ON COLUMN judgements.prompt_tokens IS 'Tokens read';
COMMENT ON COLUMN judgements.completion_tokens IS 'Tokens drawn, the end token not counted';
COMMENT ON COLUMN judgements.finish_reason IS 'stop: the model ended it; length: the token limit cut it; refused: the model did not take the prompt, and there is no text';
COMMENT ON COLUMN judgements.logprob IS 'Sum of the log-probabilities of the drawn tokens, in nats, at most 0; NULL where the engine does not know it';
COMMENT ON COLUMN judgements.refusal IS 'Why the model did not take the prompt; NULL unless finish_reason is refused';
