-- Q4: the lease of each job of a list, in the order of the list; NULLs if the job is not running.
-- The `+` keeps the planner from reading all running jobs when there are few.
SELECT l.seq, l.id, l.claim, l.attempt, l.max_retries, l.queue, l.priority, l.run_at,
    l.ties, l.worker
FROM rarray(?1) a
LEFT JOIN queue_live l ON l.seq = a.value AND +l.state = 2
