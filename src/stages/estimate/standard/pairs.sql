-- What became of each role's candidates.
WITH found AS (SELECT prompt_id AS prompt, role, coalesce(reason, 'kept') AS became FROM pairs)
SELECT f.prompt, f.role || ' ' || k.became AS "group", (f.became = k.became)::INT AS value
FROM found f JOIN (SELECT DISTINCT role, became FROM found) k USING (role)
ORDER BY ALL
