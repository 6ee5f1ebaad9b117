-- Q1, Q3, Q5: as insert.sql, and then as claim.sql, in one transaction. The claim is made at the time of the insert, and after it,
-- since it is given that; it sees the jobs, as each statement in it has a snapshot of its own. Nobody is waited for longer
-- than a moment ($27), since the worker waits, too; the order of the parts is what each is given of the one before.
SELECT c.id, c.priority, c.run_at, c.attempt, c.max_retries, c.timeout, c.backoff_base, c.backoff_cap, c.backoff_jitter, c.payload, c.kind, c.due_at, c.attributes
FROM set_config('lock_timeout', $27, true) AS patience (is_set)
CROSS JOIN LATERAL {schema}.insert_jobs(
    CASE WHEN patience.is_set IS NOT NULL THEN $1 END, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
) AS entered (at)
CROSS JOIN LATERAL {schema}.claim(entered.at, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26) AS c
