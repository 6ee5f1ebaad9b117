-- Q9: the running jobs of a worker with a cancel request.
SELECT id FROM queue_live WHERE state = 2 AND cancel_requested = 1 AND worker = ?1
