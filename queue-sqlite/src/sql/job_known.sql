-- Q16: the stored job of an id, to compare with a repeated insert.
SELECT seq, created_at, kind, queue, priority, run_at, max_retries, timeout, backoff_base,
    backoff_cap, backoff_jitter, payload, attributes, unique_key, unique_keep
FROM queue_jobs WHERE id = ?1
