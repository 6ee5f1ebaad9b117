-- Reads all unique keys that are held.
SELECT kind, key, job, until FROM {schema}.unique_keys ORDER BY kind, key
