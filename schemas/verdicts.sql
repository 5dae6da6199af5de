-- Version 1.1. History: 1.0, the first; 1.1, with refusal, thinking and weighed.
-- One row per game: two answers to one prompt, in one order.
CREATE TABLE verdicts (
    verdict_id           VARCHAR PRIMARY KEY,
    prompt_id            VARCHAR NOT NULL REFERENCES prompts (prompt_id),
    response_id          VARCHAR REFERENCES responses (response_id),
    baseline_response_id VARCHAR REFERENCES responses (response_id),
    baseline             VARCHAR NOT NULL,
    judge                VARCHAR NOT NULL,
    first_shown          VARCHAR NOT NULL,
    preference           DOUBLE,
    status               VARCHAR NOT NULL,
    text                 VARCHAR,
    response_chars       INTEGER NOT NULL,
    baseline_chars       INTEGER NOT NULL,
    refusal              VARCHAR,
    thinking             VARCHAR,
    weighed              STRUCT("verdict" VARCHAR, "value" DOUBLE, "logprob" DOUBLE)[]
);
COMMENT ON TABLE verdicts IS 'One row per game of a model against the baseline: one prompt, one order';
COMMENT ON COLUMN verdicts.verdict_id IS 'v_ and 40 hexadecimal digits, from both answers, their order and the judge';
COMMENT ON COLUMN verdicts.prompt_id IS 'The prompt that both answer';
COMMENT ON COLUMN verdicts.response_id IS 'The model''s answer';
COMMENT ON COLUMN verdicts.baseline_response_id IS 'The baseline''s answer, its own or ready-made';
COMMENT ON COLUMN verdicts.baseline IS 'The baseline: a model of the experiment, as m0, or the name of ready-made answers';
COMMENT ON COLUMN verdicts.judge IS 'Who decided: m0, the first digits of the digest of another judge''s files, or sql';
COMMENT ON COLUMN verdicts.first_shown IS 'model or baseline: whose answer the judge saw first; none where no order was shown';
COMMENT ON COLUMN verdicts.preference IS 'How far the model is preferred: 1 it wins, 0 the baseline wins, 0.5 a tie, in between where it is weighted; NULL unless status is ok';
COMMENT ON COLUMN verdicts.status IS 'ok; missing: no marker, or no score from SQL; truncated: cut by the token limit; ambiguous: the marker names no winner; refused: an answer was refused, or the judge did not take the prompt';
COMMENT ON COLUMN verdicts.text IS 'The verdict, as decoded, without thinking; NULL where it came from SQL';
COMMENT ON COLUMN verdicts.response_chars IS 'Length of the model''s answer, in characters';
COMMENT ON COLUMN verdicts.baseline_chars IS 'Length of the baseline''s answer, in characters';
COMMENT ON COLUMN verdicts.refusal IS 'Why nobody decided; NULL unless status is refused';
COMMENT ON COLUMN verdicts.thinking IS 'What the judge wrote between the thinking markers, taken out of the text; NULL where nothing was';
COMMENT ON COLUMN verdicts.weighed IS 'Where the verdict was not written but weighed (decide = "score"): each verdict that there may be, its value, and its log-probability among them, in nats; the preference is their mean. NULL where a text was written';
