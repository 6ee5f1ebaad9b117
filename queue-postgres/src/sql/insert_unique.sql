-- Q15: inserts batches with unique keys. Lock waits are limited to $14, because a transaction of an
-- application may hold an uncommitted key for long.
SELECT i.job, i.holder, i.at
FROM set_config('lock_timeout', $14, true) AS patience (is_set)
CROSS JOIN LATERAL {schema}.insert_unique_jobs(
    CASE WHEN patience.is_set IS NOT NULL THEN $1 END,
    $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
) AS i
