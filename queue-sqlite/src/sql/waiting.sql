-- The times at which waiting jobs of a queue are due, earliest first. The reader stops at its
-- limit.
SELECT seq, run_at FROM queue_live WHERE state IN (0, 3) AND queue = ?1 ORDER BY run_at
