-- Each category is a question of its own, and so is the whole.
WITH games AS (
    SELECT category, model, prompt, response_chars, baseline_chars,
        CASE verdict WHEN 'model' THEN 1.0 WHEN 'tie' THEN 0.5 WHEN 'baseline' THEN 0.0 END AS preference
    FROM read_csv('verdicts.csv')
)
SELECT 'all' AS "group", * EXCLUDE category FROM games
UNION ALL
SELECT category, * EXCLUDE category FROM games
