-- All jobs, as they are.
SELECT id FROM {schema}.jobs ORDER BY id
