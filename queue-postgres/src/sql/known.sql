-- Q16: reads the jobs stored under these ids, each submitted with a payload.
SELECT id, created_at, kind, queue, priority, run_at, max_retries, timeout, backoff_base,
    backoff_cap, backoff_jitter, payload, NULL::text,
    unique_key, unique_keep
FROM {schema}.known_jobs($1, $2)
