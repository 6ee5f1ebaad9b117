-- Q9: the state of a job, read in the transaction that cancels it.
SELECT j.seq, coalesce(l.state, o.state), l.attempt, l.ties
FROM queue_jobs j
LEFT JOIN queue_live l ON l.seq = j.seq
LEFT JOIN queue_outcomes o ON o.seq = j.seq
WHERE j.id = ?1
