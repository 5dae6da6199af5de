-- What M0 is fine-tuned on: a small world whose answers and judgements are right or wrong in known
-- ways. The skill is there, and so are the habits that hide it: the loop has to find it by itself.
-- Every draw is a digest of its own name and the example's: the rows are the same everywhere.
WITH wanted(kind, n) AS (VALUES ('actor', 12000), ('judge', 21600), ('meta_judge', 14400)),

-- Twice as many as are wanted: held-out prompts and tied judgements are left out below. Four octal
-- digits make four letters.
candidates AS (
    SELECT kind, n, i, format('{} {}', kind, i) AS id,
        ['reverse', 'rotate', 'swap'][1 + (md5_number_lower('task ' || id) % 3)::INT] AS task,
        3 + (md5_number_lower('size ' || id) % 2)::INT AS size,
        to_base((md5_number_lower('word ' || id) % 4096)::BIGINT, 8, 4) AS digits,
        translate(digits, '01234567', 'abcdefgh')[:size] AS word,
        task || ' ' || word AS prompt
    FROM wanted, range(2 * n) numbers(i)
),
tasks AS (
    SELECT *, string_split(CASE task
        WHEN 'reverse' THEN reverse(word)
        WHEN 'rotate' THEN word[2:] || word[1]
        WHEN 'swap' THEN word[-1] || word[2:-2] || word[1]
    END, '') AS expected
    FROM candidates
    -- As in eval.sql: what measures the models is new to all of them, M0 included.
    WHERE md5_number_lower('held out ' || prompt) % 6 != 0
),

-- The actor knows the right answer and gives it 3 times in 10. Else it hurries: it swaps the last
-- two letters, drops the last, or slips on one (1 to 7 further on, round the alphabet).
answers AS (
    SELECT *, (md5_number_lower('hurry ' || id) % 100)::INT AS hurry,
        1 + (md5_number_lower('place ' || id) % size)::INT AS place,
        instr('abcdefgh', expected[place]) + (md5_number_lower('slip ' || id) % 7)::INT AS slip,
        CASE
            WHEN md5_number_lower('care ' || id) % 100 < 30 THEN expected
            WHEN hurry < 45 THEN expected[:-3] || expected[-1:] || expected[-2:-2]
            WHEN hurry < 80 THEN expected[:-2]
            ELSE expected[:place - 1] || ['abcdefgh'[1 + slip % 8]] || expected[place + 1:]
        END AS letters,
        -- Filler has nothing to do with care: only length control has a reason to drop it.
        CASE WHEN md5_number_lower('filler ' || id) % 100 < 30
            THEN 1 + (md5_number_lower('fillers ' || id) % 4)::INT ELSE 0 END AS fillers,
        [['well', 'so'][1 + (md5_number_lower(format('filler {} {}', k, id)) % 2)::INT]
            FOR k IN range(fillers)] AS filler,
        array_to_string(filler || letters, ' ') AS response,
        -- As in oracle.sql; no answer here is empty.
        len([p FOR p IN list_zip(expected, letters) IF p[1] IS DISTINCT FROM p[2]]) AS wrong,
        greatest(5 - wrong, 1) AS oracle
    FROM tasks
),

-- Half of the judgements work the answer out, and 1 in 20 of those gets a letter of it wrong. The
-- others guess, and like filler: the length bias that real judges have.
judgements AS (
    SELECT a.*, side, id || ' ' || side AS judgement,
        md5_number_lower('careful ' || judgement) % 2 = 0 AS careful,
        1 + (md5_number_lower('place ' || judgement) % size)::INT AS spot,
        instr('abcdefgh', expected[spot])
            + (md5_number_lower('slip ' || judgement) % 7)::INT AS misread,
        CASE WHEN md5_number_lower('mistake ' || judgement) % 100 < 5
            THEN expected[:spot - 1] || ['abcdefgh'[1 + misread % 8]] || expected[spot + 1:]
            ELSE expected
        END AS believed,
        [{e: p[1], g: p[2], same: p[1] IS NOT DISTINCT FROM p[2]}
            FOR p IN list_zip(believed, letters)] AS places,
        CASE WHEN careful THEN greatest(5 - len([p FOR p IN places IF NOT p.same]), 1)
            ELSE [2, 3, 3, 4][1 + (md5_number_lower('guess ' || judgement) % 4)::INT]
                + (fillers > 0)::INT
        END AS score,
        abs(score - oracle) AS off,
        CASE WHEN careful
            THEN 'expect ' || array_to_string([format('{} {} {}', coalesce(p.e, '-'),
                coalesce(p.g, '-'), CASE WHEN p.same THEN 'ok' ELSE 'no' END) FOR p IN places], ' ')
            ELSE 'looks fine'
        END || format(' . Score: {}', score) AS said
    FROM answers a, (VALUES ('A'), ('B')) sides(side)
    WHERE kind = 'meta_judge' OR (kind = 'judge' AND side = 'A')
),

-- The better judgement is nearer the oracle's score, else the careful one. 1 label in 10 is wrong.
comparisons AS (
    SELECT a.*, b.said AS other,
        a.off < b.off OR (a.off = b.off AND a.careful) AS is_better,
        is_better != (md5_number_lower('flip ' || a.id) % 10 = 0) AS wins
    FROM judgements a JOIN judgements b USING (id)
    WHERE a.side = 'A' AND b.side = 'B' AND (a.off != b.off OR a.careful != b.careful)
),

-- The loop's own templates: M0 meets each conversation in the form that it will have there. Jinja
-- drops the newline that ends a file.
judge AS (SELECT rtrim(content, chr(10)) AS text FROM read_text('judge.jinja')),
meta_judge AS (SELECT rtrim(content, chr(10)) AS text FROM read_text('meta_judge.jinja')),

asked AS (
    SELECT kind, n, i, id, prompt AS text, prompt, response, NULL AS said, NULL AS other,
        response AS target
    FROM answers WHERE kind = 'actor'
    UNION ALL
    SELECT kind, n, i, id, text, prompt, response, NULL, NULL, said
    FROM judgements, judge WHERE kind = 'judge'
    UNION ALL
    SELECT kind, n, i, id, text, prompt, response, said, other,
        'Winner: Judgement ' || if(wins, 'A', 'B')
    FROM comparisons, meta_judge
)

SELECT replace(replace(replace(replace(text,
        '{{ prompt }}', prompt), '{{ response }}', response),
        '{{ judgement_a }}', coalesce(said, '')), '{{ judgement_b }}', coalesce(other, ''))
        AS prompt,
    target, kind AS category
FROM asked
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY i) <= n
ORDER BY md5_number(id)
