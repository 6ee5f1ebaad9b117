-- Job data for the reply of a claim, in the order of the list. CROSS JOIN fixes the order of the
-- loops, independent of statistics. LEFT JOIN keeps a job whose row in queue_jobs is missing.
SELECT l.attempt, l.max_retries, j.timeout, j.backoff_base, j.backoff_cap, j.backoff_jitter,
    j.payload, j.attributes
FROM rarray(?1) a
CROSS JOIN queue_live l ON l.seq = a.value
LEFT JOIN queue_jobs j ON j.seq = a.value
