-- Q4, Q6, Q10: ends leases and inserts the follow-ups of completed jobs in one transaction. Lock
-- waits are limited to $22, because a transaction of an application may hold the unique key of a
-- follow-up for long.
SELECT s.place, s.ends, s.state, s.queue, s.priority, s.run_at, s.now
FROM set_config('lock_timeout', $22, true) AS patience (is_set)
CROSS JOIN LATERAL {schema}.settle_and_insert(
    CASE WHEN patience.is_set IS NOT NULL THEN $1 END,
    $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21
) AS s
