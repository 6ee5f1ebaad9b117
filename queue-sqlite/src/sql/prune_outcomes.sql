-- Q16: pruning removes all rows of a finished job.
DELETE FROM queue_outcomes WHERE seq IN (SELECT value FROM rarray(?1))
