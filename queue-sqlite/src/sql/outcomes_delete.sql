-- Q8: removes the ends of jobs that are pruned or retried.
DELETE FROM queue_outcomes WHERE seq IN (SELECT value FROM rarray(?1))
