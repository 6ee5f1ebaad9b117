-- Q16: pruning removes all rows of a finished job, and never an unfinished job.
DELETE FROM queue_jobs
WHERE seq IN (SELECT value FROM rarray(?1))
    AND NOT EXISTS (SELECT 1 FROM queue_live l WHERE l.seq = queue_jobs.seq)
