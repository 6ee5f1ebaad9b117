-- Reads all finished jobs. An outcome without a job has no limit, which is reported as corrupt.
SELECT o.id, o.state::text, o.finished_at, o.attempt, j.max_retries, o.claim, o.result, o.error
FROM {schema}.outcomes o
LEFT JOIN {schema}.jobs j ON j.id = o.id
ORDER BY o.id
