-- Q8, Q16: finished jobs after a position, in order of creation. The reader stops at its limit.
SELECT o.seq, j.created_at, o.state, o.finished_at, j.id
FROM queue_outcomes o
CROSS JOIN queue_jobs j ON j.seq = o.seq
WHERE o.seq > ?1
ORDER BY o.seq
