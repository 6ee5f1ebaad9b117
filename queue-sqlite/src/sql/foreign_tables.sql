-- Tables and views whose names begin like those of the queue.
SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name LIKE 'queue\_%' ESCAPE '\'
