-- Q3: read in the transaction of the claim, so that no rescue happens in between.
SELECT worker_id, expires_at, expiry FROM queue_workers WHERE id = ?1 AND state = 0
