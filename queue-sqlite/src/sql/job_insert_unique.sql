-- Q5, Q15, Q16: as job_insert.sql, with the unique keys.
INSERT INTO queue_jobs (id, kind, queue, priority, run_at, max_retries, timeout, backoff_base,
    backoff_cap, backoff_jitter, created_at, payload, attributes,
    unique_key, unique_keep)
VALUES {rows}
ON CONFLICT (id) DO NOTHING
