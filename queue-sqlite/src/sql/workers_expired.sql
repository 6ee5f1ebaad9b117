-- Q11: workers that live by their rows and did not show it in time.
SELECT worker_id FROM queue_workers WHERE state = 0 AND expires_at <= ?1
