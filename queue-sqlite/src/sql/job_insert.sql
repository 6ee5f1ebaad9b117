-- Q5, Q16: the number of rows that came in tells whether an id was known before.
INSERT INTO queue_jobs (id, kind, queue, priority, run_at, max_retries, timeout, backoff_base, backoff_cap, backoff_jitter, created_at, payload, attributes)
VALUES {rows}
ON CONFLICT (id) DO NOTHING
