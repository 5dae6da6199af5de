SELECT chr((97 + i % 9)::INTEGER) || ' b ' || i AS prompt FROM range(8) t(i)
