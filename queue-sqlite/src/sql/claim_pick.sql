-- Q13, Q19: the ready jobs of one queue and kind in the order of claims, from the index alone.
-- A `run_at` is in the future only if the clock went back.
-- ?1 queue, ?2 kind, ?3 now, ?4 limit, ?5 the number of rows that were read before
SELECT priority, run_at, id, seq FROM queue_live
WHERE state = 1 AND queue = ?1 AND kind = ?2 AND run_at <= ?3
ORDER BY priority DESC, run_at, id
LIMIT ?4 OFFSET ?5
