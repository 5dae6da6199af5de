SELECT prompt_id AS prompt, unnest(['{first}', '{second}']) AS "group",
    unnest([baseline_chars, response_chars]) AS value
FROM verdicts
