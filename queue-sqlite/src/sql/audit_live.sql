-- All unfinished jobs, even if the other tables do not match.
SELECT l.id, coalesce(q.name, ''), l.priority, l.state, l.run_at, l.attempt, l.max_retries, l.claim,
    w.id, l.deadline, l.ties IS NOT NULL
FROM queue_live l
LEFT JOIN queue_names q ON q.name_id = l.queue
LEFT JOIN queue_workers w ON w.worker_id = l.worker
ORDER BY l.id
