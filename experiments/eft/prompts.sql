-- What the loop itself asks: the first turns of the ranked data.
SELECT text AS prompt, 'ranked.jsonl' AS source
FROM read_json('ranked.jsonl', columns = {parent_id: 'VARCHAR', role: 'VARCHAR', text: 'VARCHAR', lang: 'VARCHAR'})
WHERE parent_id IS NULL AND role = 'prompter' AND lang = 'en'
