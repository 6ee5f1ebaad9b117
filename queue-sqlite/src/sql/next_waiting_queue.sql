-- The next queue with waiting jobs: one step in the index, independent of their number.
SELECT min(queue) FROM queue_live WHERE state IN (0, 3) AND queue > ?1
