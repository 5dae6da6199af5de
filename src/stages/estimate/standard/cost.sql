-- Of each prompt: what its texts in one table come to.
SELECT prompt_id AS prompt, '{table}' AS "group", {cost} AS value FROM {table} GROUP BY prompt_id
