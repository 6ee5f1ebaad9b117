-- The same durability as the queue: a commit is on the disk when it returns.
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA temp_store = MEMORY;
PRAGMA foreign_keys = OFF;
