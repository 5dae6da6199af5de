-- What a model makes, as a judge, of the panel: M0's answers, and probes.
, panel AS (
    SELECT DISTINCT ON (response_id) response_id, sample, question_id
    FROM responses JOIN asked USING (prompt_id)
    WHERE experiment = {experiment} AND part = 'panel' ORDER BY response_id
)
SELECT question_id, if(panel.sample = 0, {experiment} || '-m0', 'probe-' || panel.sample) AS model,
    [{experiment} || '-' || j.model, 'mrx'] AS judge, NULL::VARCHAR AS user_prompt, text AS judgment,
    coalesce(score, -1) AS score, 1 AS turn, epoch(r.started) AS tstamp, judgement_id
FROM judgements j JOIN panel USING (response_id) LEFT JOIN runs r USING (run)
WHERE experiment = {experiment} AND {graded} AND part = 'panel' ORDER BY question_id, panel.sample, j.sample, judgement_id
