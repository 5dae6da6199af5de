-- The same with the lengths of both answers, in characters. AlpacaEval's own fit has a difficulty of each of its 805
-- instructions, too: join yours as `difficulty`.
SELECT generator_2 AS "group", instruction AS prompt,
    CASE WHEN preference = 0 THEN 0.5 WHEN preference BETWEEN 1 AND 2 THEN preference - 1 END AS preference,
    len(output_2) AS response_chars, len(output_1) AS baseline_chars
FROM read_json('annotations.json', columns = {instruction: 'VARCHAR', generator_2: 'VARCHAR',
    output_1: 'VARCHAR', output_2: 'VARCHAR', preference: 'DOUBLE'})
