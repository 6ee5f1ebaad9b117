-- Q21: whether this schema has a ledger, and whether it belongs to this library.
SELECT (
    SELECT count(*) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attname IN ('version', 'name', 'applied_at', 'oldest_compatible')
        AND NOT a.attisdropped
) = 4
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = 'migrations'
