-- All jobs, for the conformance kit.
SELECT id FROM queue_jobs ORDER BY id
