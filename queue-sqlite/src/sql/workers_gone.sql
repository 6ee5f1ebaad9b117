-- Q3: lost and retired workers whose rows may be removed.
SELECT worker_id FROM queue_workers WHERE state IN (2, 3) AND expires_at < ?1
