-- Q21: whether this file was migrated before.
SELECT EXISTS (
    SELECT 1 FROM sqlite_schema
    WHERE type IN ('table', 'view') AND name = 'queue_migrations' COLLATE NOCASE
)
