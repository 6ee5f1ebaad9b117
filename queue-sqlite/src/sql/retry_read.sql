-- Q8: a job, read in the transaction that retries it.
SELECT j.seq, j.kind, j.unique_key, j.queue, j.priority, coalesce(l.state, o.state)
FROM queue_jobs j
LEFT JOIN queue_live l ON l.seq = j.seq
LEFT JOIN queue_outcomes o ON o.seq = j.seq
WHERE j.id = ?1
