-- Q9: asks whoever runs the job to cancel it.
UPDATE queue_live SET cancel_requested = 1 WHERE seq = ?1 AND +state = 2
