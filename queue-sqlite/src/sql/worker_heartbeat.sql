-- Q12: an expiry never moves back.
UPDATE queue_workers SET expires_at = max(expires_at, ?2) WHERE worker_id = ?1
