SELECT model AS "group", prompt, response_chars, baseline_chars, CASE verdict WHEN 'model' THEN 1.0 WHEN 'tie' THEN 0.5 WHEN 'baseline' THEN 0.0 END AS preference
FROM read_csv('verdicts.csv')
