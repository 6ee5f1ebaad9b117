-- What a worker needs to know of the jobs it takes, in the order of the list. CROSS JOIN fixes the
-- order of the loops, whatever the statistics say, and LEFT keeps a job whose own row is missing in the list.
SELECT l.attempt, l.max_retries, j.timeout, j.backoff_base, j.backoff_cap, j.backoff_jitter, j.payload, j.attributes
FROM rarray(?1) a
CROSS JOIN queue_live l ON l.seq = a.value
LEFT JOIN queue_jobs j ON j.seq = a.value
