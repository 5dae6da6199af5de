-- 400 prompts that no model was trained on, words of 3 and of 4 letters in equal parts: what is
-- held out here is left out of examples.sql and prompts.sql.
WITH letters AS (SELECT unnest(string_split('abcdefgh', '')) AS letter),
words AS (
    SELECT a.letter || b.letter || c.letter AS word FROM letters a, letters b, letters c
    UNION ALL
    SELECT a.letter || b.letter || c.letter || d.letter
    FROM letters a, letters b, letters c, letters d
),
tasks AS (
    SELECT *, format('{} {}', category, word) AS prompt, CASE category
        WHEN 'reverse' THEN reverse(word)
        WHEN 'rotate' THEN word[2:] || word[1]
        WHEN 'swap' THEN word[-1] || word[2:-2] || word[1]
    END AS answer
    FROM words, (VALUES ('reverse'), ('rotate'), ('swap')) kinds(category)
)
SELECT prompt, array_to_string(string_split(answer, ''), ' ') AS reference, category
FROM tasks
WHERE md5_number_lower('held out ' || prompt) % 6 = 0
QUALIFY row_number() OVER (PARTITION BY len(word) ORDER BY md5_number(prompt)) <= 200
ORDER BY md5_number(prompt)
