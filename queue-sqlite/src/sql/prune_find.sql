-- Finished jobs of a state that ended before a time, oldest first, from a place on.
-- ?1 state, ?2 before, ?3 and ?4 place, ?5 most
SELECT o.finished_at, o.seq, j.id
FROM queue_outcomes o
CROSS JOIN queue_jobs j ON j.seq = o.seq
WHERE o.state = ?1 AND o.finished_at < ?2 AND (o.finished_at, o.seq) > (?3, ?4)
ORDER BY o.finished_at, o.seq
LIMIT ?5
