-- Q11: a worker that left something running is left to expire.
UPDATE queue_workers SET state = 3
WHERE id = ?1 AND state = 0
  AND NOT EXISTS (SELECT 1 FROM queue_live l WHERE l.state = 2 AND l.worker = queue_workers.worker_id)
