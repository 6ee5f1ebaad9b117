-- Q3, Q7: leases each job and counts the attempt.
-- ?1 list, ?2 claim, ?3 worker, ?4 now and grace, ?5 the latest time
UPDATE queue_live
SET state = 2, attempt = attempt + 1, claim = ?2, worker = ?3, deadline = min(?4 + timeout, ?5)
WHERE seq IN (SELECT value FROM rarray(?1)) AND +state = 1
