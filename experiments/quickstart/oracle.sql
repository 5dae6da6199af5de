-- The oracle's score, 0 to 5, of each row of `answers` (prompt, reference, response, and what is to
-- be kept). It has the part of a stronger model or a person: the loop never asks it. Filler is
-- ignored; then each place where answer and reference differ, or that only one of them has, costs a
-- point. An empty answer is worth 0, any other at least 1.
SELECT answers.*,
    [w FOR w IN regexp_extract_all(response, '\S+') IF w NOT IN ('well', 'so')] AS letters,
    len([p FOR p IN list_zip(string_split(reference, ' '), letters) IF p[1] IS DISTINCT FROM p[2]])
        AS wrong,
    CASE WHEN len(letters) = 0 THEN 0 ELSE greatest(5 - wrong, 1) END AS score
FROM answers
