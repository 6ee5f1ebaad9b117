-- Q15: gives a key to a job, if no job holds it.
-- ?1 kind, ?2 key, ?3 job, ?4 now
INSERT INTO queue_unique_keys (kind, key, job) VALUES (?1, ?2, ?3)
ON CONFLICT (kind, key) DO UPDATE SET job = excluded.job, until = NULL WHERE until <= ?4
