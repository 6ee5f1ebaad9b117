-- Q9: requests the cancellation of a running job from its worker.
UPDATE queue_live SET cancel_requested = 1 WHERE seq = ?1 AND +state = 2
