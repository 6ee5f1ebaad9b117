-- Q3: read within the transaction that claims: no rescue can come between.
SELECT worker_id, expires_at, expiry FROM queue_workers WHERE id = ?1 AND state = 0
