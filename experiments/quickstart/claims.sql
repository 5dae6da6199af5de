-- What can be said of the quickstart over several seeds: means of differences within a seed, with 95 %
-- bounds (Student's t over seeds). What holds is on one side of 0.
WITH claims(claim, number, "loop", model, other_loop, other_model) AS (VALUES
    ('1 Meta-Rewarding: M4 wins more than M1', 'win_rate', '', 'm4', '', 'm1'),
    ('1 Self-Rewarding: M4 wins more than M1', 'win_rate', '-self-rewarding', 'm4', '-self-rewarding', 'm1'),
    ('1 M3: Meta- over Self-Rewarding', 'win_rate', '', 'm3', '-self-rewarding', 'm3'),
    ('1 M4: Meta- over Self-Rewarding', 'win_rate', '', 'm4', '-self-rewarding', 'm4'),
    ('2 Meta-Rewarding: judge of M2 over M0''s', 'judge_agreement', '', 'm2', '', 'm0'),
    ('2 Meta-Rewarding: judge of M4 over M2''s', 'judge_agreement', '', 'm4', '', 'm2'),
    ('2 Self-Rewarding: judge of M4 over M0''s', 'judge_agreement', '-self-rewarding', 'm4', '-self-rewarding', 'm0'),
    ('3 with length control: M4 longer than M0', 'response_chars', '', 'm4', '', 'm0'),
    ('3 without: M4 longer than M0', 'response_chars', '-no-length-control', 'm4', '-no-length-control', 'm0'),
    ('4 Meta-Rewarding: M4 wins more than M3', 'win_rate', '', 'm4', '', 'm3')
),
measured AS (
    SELECT regexp_replace(experiment, '-\d+$', '') AS "loop",
        regexp_extract(experiment, '-(\d+)$', 1) AS seed, model, name, value
    FROM estimates
    WHERE starts_with(experiment, 'quickstart') AND part IN ('answers', 'panel') AND "group" = 'all'
),
differences AS (
    SELECT claim, a.value - b.value AS difference
    FROM claims c
    JOIN measured a ON a."loop" = 'quickstart' || c."loop" AND a.model = c.model AND a.name = number
    JOIN measured b ON b."loop" = 'quickstart' || other_loop AND b.model = other_model
        AND b.name = number AND b.seed = a.seed
),
means AS (
    SELECT claim, count(*) AS seeds, avg(difference) AS mean,
        -- Student's t for 1 to 9 degrees of freedom.
        [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26][count(*) - 1]
            * stddev_samp(difference) / sqrt(count(*)) AS half
    FROM differences GROUP BY claim
)
SELECT claim, seeds, round(mean, 3) AS difference, round(mean - half, 3) AS low,
    round(mean + half, 3) AS high,
    CASE WHEN mean > half THEN 'yes' WHEN mean < -half THEN 'the opposite' ELSE 'not shown' END
        AS holds
FROM means ORDER BY claim
