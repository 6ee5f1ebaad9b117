-- Q3: workers that are gone and whose rows were kept long enough.
SELECT worker_id FROM queue_workers WHERE state IN (2, 3) AND expires_at < ?1
