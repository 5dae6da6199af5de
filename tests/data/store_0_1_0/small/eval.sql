SELECT 'c ' || chr((97 + i % 9)::INTEGER) AS prompt, 'd' AS reference FROM range(6) t(i)
