-- Q4: the final state of a job, if this claim finished it.
SELECT o.state FROM queue_jobs j CROSS JOIN queue_outcomes o ON o.seq = j.seq
WHERE j.id = ?1 AND o.claim = ?2
