-- Q11: live workers past their expiry.
SELECT worker_id FROM queue_workers WHERE state = 0 AND expires_at <= ?1
