-- Q21: whether the table of this name is the ledger, and not a table of another program.
SELECT count(*) = 4 FROM pragma_table_info('queue_migrations')
WHERE name IN ('version', 'name', 'applied_at', 'oldest_compatible')
