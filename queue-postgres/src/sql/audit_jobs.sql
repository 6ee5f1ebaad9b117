-- Reads all jobs.
SELECT id FROM {schema}.jobs ORDER BY id
