-- Q21: whether anybody migrated this file before.
SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'queue_migrations')
