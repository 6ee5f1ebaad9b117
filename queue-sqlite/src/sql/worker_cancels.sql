-- Q9: the running jobs of a worker that somebody wants cancelled.
SELECT id FROM queue_live WHERE state = 2 AND cancel_requested = 1 AND worker = ?1
