-- Q4, Q10: ends leases; a row for each settlement of which there is something to say.
SELECT place, ends, state, queue, priority, run_at, now FROM {schema}.settle($1, $2, $3, $4, $5, $6, $7)
