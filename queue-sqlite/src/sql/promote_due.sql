-- Q14: waiting jobs of a queue whose time has come.
-- ?1 queue, ?2 now, ?3 most
SELECT seq, priority, run_at FROM queue_live
WHERE state IN (0, 3) AND queue = ?1 AND run_at <= ?2
ORDER BY run_at
LIMIT ?3
