-- Q17: after the commit, claims take no jobs of the queue.
INSERT INTO queue_paused (queue) VALUES (?1) ON CONFLICT (queue) DO NOTHING
