-- Arena-Hard's model_judgment/JUDGE/MODEL.jsonl: two games a question. In the first A is the baseline, in the second
-- the model. A game that is won or lost by far counts as three, and by how much counts no further. Arena-Hard leaves out
-- a question of which a game has no score; here the other game counts.
WITH games AS (
    SELECT model, uid, unnest(games).score AS score, unnest([0, 1]) AS game
    FROM read_json('arena_hard.jsonl',
        columns = {uid: 'VARCHAR', model: 'VARCHAR', games: 'STRUCT(score VARCHAR)[]'})
), read AS (
    SELECT *, CASE WHEN score IN ('A>>B', 'A>B', 'B<<A', 'B<A') THEN 1.0 WHEN score IN ('A=B', 'B=A') THEN 0.5
        WHEN score IN ('B>>A', 'B>A', 'A<<B', 'A<B') THEN 0.0 END AS first_wins
    FROM games
)
SELECT model AS "group", uid AS prompt, if(game = 0, 1 - first_wins, first_wins) AS preference,
    if(score LIKE '%>>%' OR score LIKE '%<<%', 3, 1) AS weight
FROM read
