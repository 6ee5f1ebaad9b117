-- Moves the write-ahead log into the database and empties its file. The first column is 1 if
-- another connection blocked that.
PRAGMA wal_checkpoint(TRUNCATE)
