-- Q20: the version of the server, whether the database can hold every text, what a transaction sees, and whether it may write.
SELECT
    current_setting('server_version_num')::integer, current_setting('server_encoding'),
    current_setting('default_transaction_isolation'), current_setting('transaction_read_only')::boolean, pg_is_in_recovery()
