-- Q3, Q11: gives up expired workers for good, before anything of theirs is touched. A heartbeat that
-- came first has moved the expiry; one that comes later finds no worker.
UPDATE queue_workers SET state = 1 WHERE state = 0 AND expires_at <= ?1
