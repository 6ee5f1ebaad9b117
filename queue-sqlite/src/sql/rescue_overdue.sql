-- Q11: overdue leases of live workers. There are few workers, and each has its own part of the
-- index. The reader stops at its limit.
SELECT l.seq, l.queue, l.priority, l.run_at, l.attempt, l.max_retries, l.ties, l.worker
FROM queue_workers w
CROSS JOIN queue_live l ON l.state = 2 AND l.worker = w.worker_id AND l.deadline <= ?1
WHERE w.state = 0
