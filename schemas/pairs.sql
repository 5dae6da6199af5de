-- Version 1.1. History: 1.0, the first; 1.1, with chosen_ids and rejected_ids.
-- One row per candidate preference pair, kept or dropped with its reason.
CREATE TABLE pairs (
    pair_id               VARCHAR PRIMARY KEY,
    prompt_id             VARCHAR NOT NULL REFERENCES prompts (prompt_id),
    role                  VARCHAR NOT NULL,
    kept                  BOOLEAN NOT NULL,
    reason                VARCHAR,
    chosen_response_id    VARCHAR REFERENCES responses (response_id),
    rejected_response_id  VARCHAR REFERENCES responses (response_id),
    chosen_judgement_id   VARCHAR REFERENCES judgements (judgement_id),
    rejected_judgement_id VARCHAR REFERENCES judgements (judgement_id),
    score_chosen          DOUBLE,
    score_rejected        DOUBLE,
    messages              STRUCT("role" VARCHAR, "content" VARCHAR)[] NOT NULL,
    chosen                VARCHAR,
    rejected              VARCHAR,
    chosen_ids            UINTEGER[],
    rejected_ids          UINTEGER[]
);
COMMENT ON TABLE pairs IS 'One row per prompt and role: the preference pair that was built, or the reason why there is none';
COMMENT ON COLUMN pairs.pair_id IS 'd_ and 40 hexadecimal digits, from the role, the messages and both sides';
COMMENT ON COLUMN pairs.prompt_id IS 'The prompt that the pair stems from';
COMMENT ON COLUMN pairs.role IS 'actor: two responses to the prompt; judge: two judgements of one response';
COMMENT ON COLUMN pairs.kept IS 'Whether training uses it';
COMMENT ON COLUMN pairs.reason IS 'Why it was dropped, NULL where kept: no_valid_score (actor: fewer than two responses have one; judge: no judgement has one), equal_scores, equal_texts, equal_ids (both sides are the same tokens), cut (what would be chosen was cut by the token limit), not_better (rho of a half or more: what would be chosen scores no higher), chosen_too_long, no_variance, no_information, too_many_of_score, too_many_judge_pairs';
COMMENT ON COLUMN pairs.chosen_response_id IS 'Actor: the preferred response. Judge: the response that is judged';
COMMENT ON COLUMN pairs.rejected_response_id IS 'Actor: the other response. Judge: NULL';
COMMENT ON COLUMN pairs.chosen_judgement_id IS 'Judge: the preferred judgement. Actor: NULL';
COMMENT ON COLUMN pairs.rejected_judgement_id IS 'Judge: the other judgement. Actor: NULL';
COMMENT ON COLUMN pairs.score_chosen IS 'Actor: mean valid score, on the judge''s scale. Judge: strength, in natural-log units';
COMMENT ON COLUMN pairs.score_rejected IS 'The same of the rejected side';
COMMENT ON COLUMN pairs.messages IS 'What both sides answer: the prompt, or the judge''s prompt about the response';
COMMENT ON COLUMN pairs.chosen IS 'Text of the preferred side';
COMMENT ON COLUMN pairs.rejected IS 'Text of the other side';
COMMENT ON COLUMN pairs.chosen_ids IS 'Ids of the tokens that were drawn for the preferred side, thinking and the end token included: what is trained on; NULL where they are not known, and the text is tokenised';
COMMENT ON COLUMN pairs.rejected_ids IS 'The same of the other side';
