-- Q20: whether row level security hides rows from this role, and whether the server is read-only.
SELECT coalesce(bool_or(row_security_active(c.oid)), false),
    current_setting('transaction_read_only')::boolean
FROM pg_class c
WHERE c.relnamespace = '{schema}'::regnamespace
    AND c.relname IN ('jobs', 'live', 'outcomes', 'attempt_errors')
