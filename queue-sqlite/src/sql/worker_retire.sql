-- Q11: a worker with leases is not retired; it expires instead.
UPDATE queue_workers SET state = 3
WHERE id = ?1 AND state = 0
  AND NOT EXISTS (SELECT 1 FROM queue_live l
      WHERE l.state = 2 AND l.worker = queue_workers.worker_id)
