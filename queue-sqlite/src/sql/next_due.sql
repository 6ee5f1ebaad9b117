-- The time at which the next waiting job of a queue is due: one step in the index.
SELECT min(run_at) FROM queue_live WHERE state IN (0, 3) AND queue = ?1
