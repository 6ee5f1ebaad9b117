-- Q11: from now on there is nothing to look for under a lost worker whose leases are all moved.
UPDATE queue_workers SET state = 2
WHERE state = 1 AND NOT EXISTS (SELECT 1 FROM queue_live l WHERE l.state = 2 AND l.worker = queue_workers.worker_id)
