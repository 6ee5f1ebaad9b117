-- Q10: how a job ended; NULLs while it is unfinished.
SELECT j.seq, o.state, o.result, o.error
FROM queue_jobs j
LEFT JOIN queue_outcomes o ON o.seq = j.seq
WHERE j.id = ?1
