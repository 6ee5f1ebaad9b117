-- Q21: the ledger is ours alone, beside whatever the application migrates by.
CREATE TABLE IF NOT EXISTS queue_migrations (
    version           INTEGER PRIMARY KEY,
    name              TEXT    NOT NULL,
    applied_at        INTEGER NOT NULL,
    oldest_compatible INTEGER NOT NULL
) STRICT
