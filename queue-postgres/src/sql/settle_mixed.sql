-- Q4, Q10: ends leases with any verdicts. Lock waits are limited to $9, because a transaction of an
-- application may have completed one of the jobs and not be over.
SELECT s.place, s.ends, s.state, s.queue, s.priority, s.run_at, s.now
FROM set_config('lock_timeout', $9, true) AS patience (is_set)
CROSS JOIN LATERAL {schema}.settle(
    CASE WHEN patience.is_set IS NOT NULL THEN $1 END, $2, $3, $4, $5, $6, $7, $8
) AS s
