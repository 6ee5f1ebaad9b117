-- Q20: the version of the server, the encoding of the database, the default isolation level, and
-- whether the server accepts writes.
SELECT
    current_setting('server_version_num')::integer, current_setting('server_encoding'),
    current_setting('default_transaction_isolation'),
    current_setting('transaction_read_only')::boolean, pg_is_in_recovery()
