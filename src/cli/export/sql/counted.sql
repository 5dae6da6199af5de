-- How many rows there are of what, and what a format may not be able to say.
SELECT (SELECT count(*) FROM own) AS answers,
    (SELECT count(*) FROM own WHERE finish_reason = 'refused') AS refused,
    (SELECT count(*) FROM games) AS games, (SELECT count(*) FROM played) AS played,
    (SELECT count(*) FROM played WHERE preference IS NULL) AS unreadable,
    (SELECT count(*) FROM played WHERE preference NOT IN (0, 0.25, 0.5, 0.75, 1)) AS between_levels,
    (SELECT count(*) FROM played WHERE preference NOT IN (0, 0.5, 1)) AS between_wins,
    (SELECT count(*) FROM played WHERE preference IN (0.25, 0.75)
        OR run IN (SELECT run FROM runs WHERE (key->'config'->>'rule') LIKE 'arena-%')) AS by_levels,
    (SELECT count(*) FROM (SELECT 1 FROM played WHERE first_shown <> 'none' GROUP BY response_id, baseline_response_id
        HAVING count(DISTINCT first_shown) = 1)) AS one_order,
    (SELECT count(*) FROM judgements
        WHERE experiment = {experiment} AND model IN ({models}) AND part = 'panel') AS grades,
    (SELECT string_agg(DISTINCT baseline_name, ' ') FROM played) AS baseline,
    (SELECT string_agg(DISTINCT judge_name, ' ') FROM played) AS judge
