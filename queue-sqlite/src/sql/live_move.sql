-- Q4: ends the lease of a job that stays unfinished.
-- ?1 seq, ?2 state, ?3 run_at, ?4 attempt
UPDATE queue_live
SET state = ?2, run_at = ?3, attempt = ?4, worker = NULL, claim = NULL, deadline = NULL,
    progress = NULL
WHERE seq = ?1 AND +state = 2
