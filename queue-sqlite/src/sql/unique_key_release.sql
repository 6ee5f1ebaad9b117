-- Q15: the jobs of a list release their keys, except keys that are kept.
DELETE FROM queue_unique_keys
WHERE until IS NULL AND (kind, key, job) IN (
    SELECT j.kind, j.unique_key, j.id FROM rarray(?1) a CROSS JOIN queue_jobs j ON j.seq = a.value
)
