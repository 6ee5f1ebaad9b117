-- Q20: the version of the server, whether the database can hold every text, and what a transaction sees.
SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'), current_setting('default_transaction_isolation')
