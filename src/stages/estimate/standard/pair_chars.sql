SELECT prompt_id AS prompt, unnest([role || ' chosen', role || ' rejected']) AS "group",
    unnest([len(chosen), len(rejected)]) AS value
FROM pairs WHERE kept
