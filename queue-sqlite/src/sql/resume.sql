-- Q17: the queue goes on.
DELETE FROM queue_paused WHERE queue = ?1
