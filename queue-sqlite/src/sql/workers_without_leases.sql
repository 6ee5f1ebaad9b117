-- Q11: lost workers without leases. (?1, now, is unused.)
SELECT worker_id FROM queue_workers
WHERE state = 1 AND ?1 IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM queue_live l
      WHERE l.state = 2 AND l.worker = queue_workers.worker_id)
