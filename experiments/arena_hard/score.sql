-- Arena-Hard's score, whose share of 1 is 100 there: a game that is won or lost by far counts as three, and by
-- how much one is won or lost counts no further.
--
-- Its leaderboard fits a Bradley-Terry model to all models' games. Every one of them is against the same
-- baseline, so each model's fit stands alone, and its chance to win is the share that it wins of its games:
-- `win_rate` of these rows. The intervals here take the games of one question together; upstream's take each
-- for itself, and are too narrow.
SELECT prompt_id AS prompt, (sign(preference - 0.5) + 1) / 2 AS preference,
    if(preference IN (0, 1), 3, 1) AS weight
FROM verdicts
