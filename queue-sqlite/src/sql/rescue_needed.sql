-- Q11: whether a worker is expired, a lost worker has leases, or a lease is past its deadline.
SELECT EXISTS (SELECT 1 FROM queue_workers WHERE state = 0 AND expires_at <= ?1)
    OR EXISTS (SELECT 1 FROM queue_workers WHERE state = 1)
    OR EXISTS (SELECT 1 FROM queue_workers w CROSS JOIN queue_live l
               ON l.state = 2 AND l.worker = w.worker_id AND l.deadline <= ?1 WHERE w.state = 0)
