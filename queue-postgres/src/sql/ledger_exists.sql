-- Q21: whether there is a ledger in this schema, and whether it is ours.
SELECT (
    SELECT count(*) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attname IN ('version', 'name', 'applied_at', 'oldest_compatible') AND NOT a.attisdropped
) = 4
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = 'migrations'
