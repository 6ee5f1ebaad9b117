-- Q12: an expiry only moves forward.
UPDATE queue_workers SET expires_at = max(expires_at, ?2) WHERE worker_id = ?1
