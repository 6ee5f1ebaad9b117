-- Tables and views with the name prefix of the queue.
SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name LIKE 'queue\_%' ESCAPE '\'
