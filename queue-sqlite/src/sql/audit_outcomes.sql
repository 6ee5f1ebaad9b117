-- All finished jobs. An outcome without a job has no id, which the reader reports as corrupt.
SELECT j.id, o.state, o.finished_at, o.attempt, j.max_retries, o.claim, o.result, o.error
FROM queue_outcomes o
LEFT JOIN queue_jobs j ON j.seq = o.seq
ORDER BY j.id
