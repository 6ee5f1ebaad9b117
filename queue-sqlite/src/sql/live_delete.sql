-- Q8: a finished job has no live row.
DELETE FROM queue_live WHERE seq IN (SELECT value FROM rarray(?1))
