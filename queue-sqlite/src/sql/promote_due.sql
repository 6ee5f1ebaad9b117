-- Q14: due jobs of a queue. The reader stops at its limit.
-- ?1 queue, ?2 now
SELECT seq, priority, run_at FROM queue_live
WHERE state IN (0, 3) AND queue = ?1 AND run_at <= ?2
ORDER BY run_at
