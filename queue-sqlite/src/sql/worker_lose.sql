-- Q3, Q11: gives up expired workers for good, before anything of theirs is touched. A heartbeat that
-- came first has moved the expiry; one that comes later finds no worker.
UPDATE queue_workers SET state = 1 WHERE worker_id IN (SELECT value FROM rarray(?1)) AND +state = 0
