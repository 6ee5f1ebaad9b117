-- Q11: from now on there is nothing to look for under a lost worker whose leases are all moved.
UPDATE queue_workers SET state = 2 WHERE worker_id IN (SELECT value FROM rarray(?1)) AND +state = 1
