-- Both sides are whole conversations, the prompt's messages and an answer, as TRL takes a preference without a
-- column of its own for the prompt.
SELECT list_append(messages, {'role': 'assistant', 'content': chosen}) AS chosen,
    list_append(messages, {'role': 'assistant', 'content': rejected}) AS rejected,
    score_chosen, score_rejected, role, model, prompt_id, pair_id
FROM pairs WHERE experiment = {experiment} AND kept AND part IS NULL{more}
ORDER BY model[2:]::INT, pair_id
