-- Q5, Q16: the number of inserted rows shows whether an id was stored before.
INSERT INTO queue_jobs (id, kind, queue, priority, run_at, max_retries, timeout, backoff_base,
    backoff_cap, backoff_jitter, created_at, payload, attributes)
VALUES {rows}
ON CONFLICT (id) DO NOTHING
