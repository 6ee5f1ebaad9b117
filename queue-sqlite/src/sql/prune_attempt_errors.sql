-- Q16: pruning removes all rows of a finished job.
DELETE FROM queue_attempt_errors WHERE seq IN (SELECT value FROM rarray(?1))
