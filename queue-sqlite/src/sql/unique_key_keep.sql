-- Q15: completed jobs of a list hold their keys for the time that these are kept. An upsert,
-- because an UPDATE with a FROM clause scans the keys.
-- ?1 list, ?2 now, ?3 the latest time
INSERT INTO queue_unique_keys (kind, key, job, until)
SELECT j.kind, j.unique_key, j.id, iif(j.unique_keep > ?3 - ?2, ?3, ?2 + j.unique_keep)
FROM rarray(?1) a
CROSS JOIN queue_jobs j ON j.seq = a.value
CROSS JOIN queue_outcomes o ON o.seq = a.value
WHERE o.state = 4 AND j.unique_keep > 0
ON CONFLICT (kind, key) DO UPDATE SET until = excluded.until WHERE job = excluded.job
