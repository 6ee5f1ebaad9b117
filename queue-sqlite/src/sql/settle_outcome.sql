-- Q4: what a job ended as under this very claim.
SELECT o.state FROM queue_jobs j CROSS JOIN queue_outcomes o ON o.seq = j.seq
WHERE j.id = ?1 AND o.claim = ?2
