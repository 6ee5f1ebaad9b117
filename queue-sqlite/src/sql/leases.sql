-- Q3: the leases of one claim of a worker, in claim order.
SELECT l.id, l.kind, l.queue, l.priority, l.run_at, l.attempt, l.max_retries, j.timeout,
    j.backoff_base, j.backoff_cap, j.backoff_jitter, j.payload, j.attributes, l.seq
FROM queue_workers w
CROSS JOIN queue_live l ON l.state = 2 AND l.worker = w.worker_id AND l.claim = ?2
LEFT JOIN queue_jobs j ON j.seq = l.seq
WHERE w.id = ?1
ORDER BY l.priority DESC, l.run_at, l.id
