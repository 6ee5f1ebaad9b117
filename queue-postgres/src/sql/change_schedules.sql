-- Q23: changes schedules and inserts their jobs in one transaction. Lock waits are limited to $21,
-- because a transaction of an application may hold the unique key of a job for long.
SELECT c.place, c.job, c.holder, c.at
FROM set_config('lock_timeout', $21, true) AS patience (is_set)
CROSS JOIN LATERAL {schema}.change_schedules(
    CASE WHEN patience.is_set IS NOT NULL THEN $1 END,
    $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
) AS c
