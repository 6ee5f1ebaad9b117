-- Q11: leases of lost workers. The reader stops at its limit. (?1, now, is unused.)
SELECT l.seq, l.queue, l.priority, l.run_at, l.attempt, l.max_retries, l.ties, l.worker
FROM queue_workers w
CROSS JOIN queue_live l ON l.state = 2 AND l.worker = w.worker_id
WHERE w.state = 1 AND ?1 IS NOT NULL
