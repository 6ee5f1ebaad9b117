-- Q16: the job that is stored under an id, to be compared with one that is submitted again.
SELECT seq, created_at, kind, queue, priority, run_at, max_retries, timeout, backoff_base, backoff_cap, backoff_jitter, payload, attributes
FROM queue_jobs WHERE id = ?1
