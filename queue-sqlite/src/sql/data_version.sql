-- A number that changes when another connection, of this or another process, commits.
PRAGMA data_version
