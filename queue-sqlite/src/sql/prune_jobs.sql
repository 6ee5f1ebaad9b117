-- Q16: a finished job goes with all that belongs to it; an unfinished one stays, whatever the list says.
DELETE FROM queue_jobs
WHERE seq IN (SELECT value FROM rarray(?1)) AND NOT EXISTS (SELECT 1 FROM queue_live l WHERE l.seq = queue_jobs.seq)
