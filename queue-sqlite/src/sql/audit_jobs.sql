-- All jobs, as they are.
SELECT id FROM queue_jobs ORDER BY id
