-- Q3: a worker's id is used once; rows of workers that were given up stay for a while.
INSERT INTO queue_workers (id, name, expiry, expires_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO NOTHING
