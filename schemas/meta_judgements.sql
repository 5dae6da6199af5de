-- Version 1.1. History: 1.0, the first; 1.1, with refusal, thinking, completion_ids and weighed.
-- One row per comparison of two judgements of one response, in one order.
CREATE TABLE meta_judgements (
    meta_judgement_id   VARCHAR PRIMARY KEY,
    prompt_id           VARCHAR NOT NULL REFERENCES prompts (prompt_id),
    response_id         VARCHAR NOT NULL REFERENCES responses (response_id),
    first_judgement_id  VARCHAR NOT NULL REFERENCES judgements (judgement_id),
    second_judgement_id VARCHAR NOT NULL REFERENCES judgements (judgement_id),
    weighed             STRUCT("verdict" VARCHAR, "value" DOUBLE, "logprob" DOUBLE)[],
    seed                UBIGINT NOT NULL,
    text                VARCHAR NOT NULL,
    thinking            VARCHAR,
    text_digest         VARCHAR NOT NULL,
    completion_ids      UINTEGER[],
    prompt_tokens       INTEGER NOT NULL,
    completion_tokens   INTEGER NOT NULL,
    finish_reason       VARCHAR NOT NULL,
    logprob             DOUBLE,
    refusal             VARCHAR
);
COMMENT ON TABLE meta_judgements IS 'One row per comparison of two judgements of one response; each pair of judgements is shown in both orders';
COMMENT ON COLUMN meta_judgements.meta_judgement_id IS 'm_ and 40 hexadecimal digits, from both judgements in their order, model, template and decoding parameters';
COMMENT ON COLUMN meta_judgements.prompt_id IS 'The prompt that was answered';
COMMENT ON COLUMN meta_judgements.response_id IS 'The response that both judgements are about';
COMMENT ON COLUMN meta_judgements.first_judgement_id IS 'The judgement shown as A';
COMMENT ON COLUMN meta_judgements.second_judgement_id IS 'The judgement shown as B';
COMMENT ON COLUMN meta_judgements.weighed IS 'Where the verdict was not written but weighed (decide = "score"): each verdict that there may be, its value, and its log-probability among them, in nats; the text is the one that was drawn of them. NULL where a text was written';
COMMENT ON COLUMN meta_judgements.seed IS 'Seed of this draw alone, from the experiment''s seed and the id';
COMMENT ON COLUMN meta_judgements.text IS 'The comparison, as decoded';
COMMENT ON COLUMN meta_judgements.thinking IS 'What stood between the thinking markers, taken out of the text; NULL where nothing did';
COMMENT ON COLUMN meta_judgements.text_digest IS 'BLAKE3 of the text, 64 hexadecimal digits';
COMMENT ON COLUMN meta_judgements.completion_ids IS 'Ids of the drawn tokens in their order, thinking and the end token included: what training takes; NULL where the engine does not give them';
COMMENT ON COLUMN meta_judgements.prompt_tokens IS 'Tokens read';
COMMENT ON COLUMN meta_judgements.completion_tokens IS 'Tokens drawn, the end token not counted';
COMMENT ON COLUMN meta_judgements.finish_reason IS 'stop: the model ended it; length: the token limit cut it; refused: the model did not take the prompt, and there is no text';
COMMENT ON COLUMN meta_judgements.logprob IS 'Sum of the log-probabilities of the drawn tokens, in nats, at most 0; NULL where the engine does not know it';
COMMENT ON COLUMN meta_judgements.refusal IS 'Why the model did not take the prompt; NULL unless finish_reason is refused';
