-- The quickstart and its twins over several seeds: what each model's numbers are on average, and within
-- which bounds their mean lies (95 %, Student's t over seeds). Experiments are named as the files name
-- them, with -1, -2, … for other seeds.
WITH named AS (
    SELECT regexp_replace(experiment, '-\d+$', '') AS "loop", experiment, model, name, value
    FROM estimates
    WHERE starts_with(experiment, 'quickstart')
        AND part IN ('answers', 'panel') AND "group" = 'all'
        AND name IN ('win_rate', 'judge_agreement', 'response_chars')
),
measured AS (
    SELECT "loop", experiment, model, max(value) FILTER (name = 'win_rate') AS wins,
        max(value) FILTER (name = 'judge_agreement') AS agrees,
        max(value) FILTER (name = 'response_chars') AS chars
    FROM named GROUP BY ALL
),
-- Student's t for 1 to 9 degrees of freedom.
bounds AS (
    SELECT *, [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26][seeds - 1] / sqrt(seeds) AS t
    FROM (
        SELECT "loop", model, count(*) AS seeds, avg(wins) AS wins, stddev_samp(wins) AS wins_sd,
            avg(agrees) AS agrees, stddev_samp(agrees) AS agrees_sd,
            avg(chars) AS chars, stddev_samp(chars) AS chars_sd
        FROM measured GROUP BY ALL
    )
)
SELECT "loop", model, seeds,
    format('{:.3f} ± {:.3f}', wins, t * wins_sd) AS "win rate over M0",
    format('{:.3f} ± {:.3f}', agrees, t * agrees_sd) AS "judge agrees",
    format('{:.1f} ± {:.1f}', chars, t * chars_sd) AS characters
FROM bounds ORDER BY "loop", model
