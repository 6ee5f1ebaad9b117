-- Q3, Q11: marks expired workers as lost before their leases are taken back. An earlier heartbeat
-- has moved the expiry; a later one fails with `WorkerLost`.
UPDATE queue_workers SET state = 1 WHERE worker_id IN (SELECT value FROM rarray(?1)) AND +state = 0
