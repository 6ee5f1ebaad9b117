-- Q3, Q7, Q13, Q14, Q19: one row per job, one row per level with promoted jobs, one row per job
-- that could not be written, and a last row for the queue.
SELECT id, priority, run_at, attempt, max_retries, timeout, backoff_base, backoff_cap,
    backoff_jitter, payload, kind, due_at, attributes
FROM {schema}.claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
