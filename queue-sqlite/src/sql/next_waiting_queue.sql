-- The next queue in which jobs wait: a step in the index, however many they are.
SELECT min(queue) FROM queue_live WHERE state IN (0, 3) AND queue > ?1
