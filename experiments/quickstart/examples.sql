-- What M0 is fine-tuned on: a small world in which answers and judgements are right or wrong in known
-- ways. Half of the skill is there, and so are the habits that hide it: the loop has to find out.
-- Every draw is a digest of its own name and the example's, so the rows are the same everywhere.
WITH wanted(kind, n) AS (VALUES ('actor', 12000), ('judge', 21600), ('meta_judge', 14400)),

-- Twice as many as are wanted: held-out prompts and tied judgements are left out below.
candidates AS (
    SELECT kind, n, i, format('{} {}', kind, i) AS id FROM wanted, range(2 * n) numbers(i)
),
tasks AS (
    SELECT *, ['reverse', 'rotate', 'swap'][1 + (md5_number('task ' || id) % 3)::INT] AS task,
        3 + (md5_number('size ' || id) % 2)::INT AS size,
        ['abcdefgh'[1 + (md5_number(format('letter {} {}', k, id)) % 8)::INT] FOR k IN range(size)]
            AS word,
        CASE task
            WHEN 'reverse' THEN list_reverse(word)
            WHEN 'rotate' THEN word[2:] || word[:1]
            ELSE word[-1:] || word[2:-2] || word[:1]
        END AS expected,
        format('{} {}', task, array_to_string(word, '')) AS prompt
    FROM candidates
    -- As in eval.sql: what measures the models is new to all of them, M0 included.
    WHERE md5_number('held out ' || prompt) % 6 != 0
),

-- The actor knows the right answer and gives it 3 times in 10. Else it hurries.
answers AS (
    SELECT *, (md5_number('care ' || id) % 100)::INT < 30 AS with_care,
        (md5_number('hurry ' || id) % 100)::INT AS hurry,
        1 + (md5_number('place ' || id) % size)::INT AS place,
        -- Another letter than the right one: 1 to 7 further on, round the alphabet.
        instr('abcdefgh', expected[place]) + (md5_number('slip ' || id) % 7)::INT AS slip,
        CASE
            WHEN with_care THEN expected
            WHEN hurry < 45 THEN expected[:-3] || expected[-1:] || expected[-2:-2]
            WHEN hurry < 80 THEN expected[:-2]
            ELSE expected[:place - 1] || ['abcdefgh'[1 + slip % 8]] || expected[place + 1:]
        END AS letters,
        -- Filler says nothing about care: only length control has a reason to drop it.
        CASE WHEN md5_number('filler ' || id) % 100 < 30
            THEN 1 + (md5_number('fillers ' || id) % 4)::INT ELSE 0 END AS fillers,
        [['well', 'so'][1 + (md5_number(format('filler {} {}', k, id)) % 2)::INT]
            FOR k IN range(fillers)] AS filler,
        array_to_string(filler || letters, ' ') AS response,
        -- As in oracle.sql, for answers of at least one letter.
        len([p FOR p IN list_zip(expected, letters) IF p[1] IS DISTINCT FROM p[2]]) AS wrong,
        greatest(5 - wrong, 1) AS oracle
    FROM tasks
),

-- Half of the judgements work the answer out, and 1 in 20 of those gets a letter of it wrong. The
-- others guess, and like filler: the length bias that real judges have.
judgements AS (
    SELECT a.*, side, id || side AS judgement,
        md5_number('judge ' || judgement) % 2 = 0 AS careful,
        1 + (md5_number('judge place ' || judgement) % size)::INT AS spot,
        instr('abcdefgh', expected[spot]) + (md5_number('judge slip ' || judgement) % 7)::INT AS misread,
        CASE WHEN md5_number('mistake ' || judgement) % 100 < 5
            THEN expected[:spot - 1] || ['abcdefgh'[1 + misread % 8]] || expected[spot + 1:]
            ELSE expected
        END AS believed,
        [{e: p[1], g: p[2], same: p[1] IS NOT DISTINCT FROM p[2]} FOR p IN list_zip(believed, letters)]
            AS places,
        CASE WHEN careful THEN greatest(5 - len([p FOR p IN places IF NOT p.same]), 1)
            ELSE [2, 3, 3, 4][1 + (md5_number('guess ' || judgement) % 4)::INT] + (fillers > 0)::INT
        END AS score,
        abs(score - oracle) AS off,
        CASE WHEN careful THEN 'expect ' || array_to_string([
                format('{} {} {}', coalesce(p.e, '-'), coalesce(p.g, '-'),
                    CASE WHEN p.same THEN 'ok' ELSE 'no' END) FOR p IN places], ' ')
            ELSE 'looks fine'
        END || format(' . Score: {}', score) AS said
    FROM answers a, (VALUES ('A'), ('B')) sides(side)
    WHERE kind = 'meta_judge' OR (kind = 'judge' AND side = 'A')
),

-- The better judgement is nearer the oracle's score, then the one with care; 1 label in 10 is wrong.
comparisons AS (
    SELECT a.*, b.said AS other,
        a.off < b.off OR (a.off = b.off AND a.careful) AS first_is_better,
        first_is_better != (md5_number('flip ' || a.id) % 10 = 0) AS first_wins
    FROM judgements a JOIN judgements b USING (id)
    WHERE a.side = 'A' AND b.side = 'B' AND (a.off != b.off OR a.careful != b.careful)
),

-- The loop's own templates, so that M0 has met each conversation in the form that it will have there.
-- Jinja drops the newline at a file's end.
judge_template AS (SELECT rtrim(content, chr(10)) AS text FROM read_text('judge.jinja')),
meta_template AS (SELECT rtrim(content, chr(10)) AS text FROM read_text('meta_judge.jinja')),

examples AS (
    SELECT kind, n, i, id, task, prompt, response AS target, array_to_string(expected, ' ') AS reference
    FROM answers WHERE kind = 'actor'
    UNION ALL
    SELECT kind, n, i, id, task,
        replace(replace(text, '{{ prompt }}', prompt), '{{ response }}', response), said, oracle::VARCHAR
    FROM judgements, judge_template WHERE kind = 'judge'
    UNION ALL
    SELECT kind, n, i, id, task,
        replace(replace(replace(replace(text, '{{ prompt }}', prompt), '{{ response }}', response),
            '{{ judgement_a }}', said), '{{ judgement_b }}', other),
        'Winner: Judgement ' || CASE WHEN first_wins THEN 'A' ELSE 'B' END,
        CASE WHEN first_is_better THEN 'A' ELSE 'B' END
    FROM comparisons, meta_template
)

SELECT prompt, target, kind, reference, task AS category
FROM examples
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY i) <= n
ORDER BY md5_number(id)
