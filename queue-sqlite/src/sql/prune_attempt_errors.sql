-- Q16: a finished job goes with all that belongs to it.
DELETE FROM queue_attempt_errors WHERE seq IN (SELECT value FROM rarray(?1))
