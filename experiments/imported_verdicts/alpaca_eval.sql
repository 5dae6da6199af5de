-- AlpacaEval's annotations.json: 1 is the baseline's win, 2 the model's, 1.5 or 0 a tie. What is null or lies
-- elsewhere could not be read.
SELECT generator_2 AS "group", instruction AS prompt,
    CASE WHEN preference = 0 THEN 0.5 WHEN preference BETWEEN 1 AND 2 THEN preference - 1 END AS preference
FROM read_json('annotations.json',
    columns = {instruction: 'VARCHAR', generator_2: 'VARCHAR', preference: 'DOUBLE'})
