-- Moves the write-ahead log into the database and empties its file. The first column tells whether another connection
-- kept it from that.
PRAGMA wal_checkpoint(TRUNCATE)
