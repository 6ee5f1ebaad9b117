-- When the waiting jobs of a queue are due, the first one first, read as far as needed.
SELECT seq, run_at FROM queue_live WHERE state IN (0, 3) AND queue = ?1 ORDER BY run_at
