-- Q3: a worker id is registered once; rows of lost workers are kept for a while.
INSERT INTO queue_workers (id, name, expiry, expires_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO NOTHING
