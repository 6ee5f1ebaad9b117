-- Q1, Q3, Q5: does insert.sql and then claim.sql in one transaction. The claim uses the time that
-- the insert returns, so that it runs after the insert. It sees the jobs, because each statement in
-- it has a new snapshot. Lock waits are limited to $27, because an idle worker waits for the claim.
-- Each part uses a value of the part before it, which fixes their order.
SELECT c.id, c.priority, c.run_at, c.attempt, c.max_retries, c.timeout, c.backoff_base,
    c.backoff_cap, c.backoff_jitter, c.payload, c.kind, c.due_at, c.attributes
FROM set_config('lock_timeout', $27, true) AS patience (is_set)
CROSS JOIN LATERAL {schema}.insert_jobs(
    CASE WHEN patience.is_set IS NOT NULL THEN $1 END,
    $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
) AS entered (at)
CROSS JOIN LATERAL {schema}.claim(
    entered.at, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26
) AS c
