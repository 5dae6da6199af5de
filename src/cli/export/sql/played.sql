-- What every export of models' games stands on: the held-out prompts of their experiment, the answers to them, and
-- the games.
WITH asked AS (
    SELECT DISTINCT ON (prompt_id) prompt_id, prompt, category, source, position + 1 AS question_id
    FROM prompts WHERE experiment = {experiment} AND part = 'eval' ORDER BY prompt_id
), games AS (
    SELECT *, if(regexp_full_match(baseline, 'm\d+'), {experiment} || '-' || baseline, baseline) AS baseline_name,
        if(regexp_full_match(judge, 'm\d+'), {experiment} || '-' || judge, judge) AS judge_name
    FROM verdicts WHERE experiment = {experiment} AND model IN ({models}) AND part IS NULL
), answered AS (
    SELECT DISTINCT ON (response_id) response_id, prompt_id, model, sample, text, finish_reason, run,
        {experiment} || '-' || model AS generator
    FROM responses WHERE experiment = {experiment} AND part = 'eval' ORDER BY response_id
), own AS (
    SELECT * FROM answered JOIN asked USING (prompt_id) WHERE model IN ({models})
), theirs AS (
    SELECT * REPLACE (of_game.baseline_name AS generator) FROM answered JOIN asked USING (prompt_id)
    JOIN (SELECT DISTINCT baseline_response_id AS response_id, baseline_name FROM games) of_game USING (response_id)
), played AS (
    SELECT g.verdict_id, g.response_id, g.baseline_response_id, g.first_shown, g.preference, g.text, g.run, g.model,
        own.generator, g.baseline_name, g.judge_name, own.prompt, own.category, own.source, own.question_id,
        own.prompt_id, own.sample, own.text AS response, theirs.text AS baseline_response
    FROM games g JOIN own USING (response_id) JOIN theirs ON theirs.response_id = g.baseline_response_id
)
