-- Q4, Q10: ends leases; one row per settlement whose result is not simply done.
SELECT place, ends, state, queue, priority, run_at, now
FROM {schema}.settle($1, $2, $3, $4, $5, $6, $7, $8)
