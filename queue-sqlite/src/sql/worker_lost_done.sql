-- Q11: marks lost workers whose leases are all taken back.
UPDATE queue_workers SET state = 2 WHERE worker_id IN (SELECT value FROM rarray(?1)) AND +state = 1
