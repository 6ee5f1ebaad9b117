-- Q20: the version of the server, and whether the database can hold every text.
SELECT current_setting('server_version_num')::integer, current_setting('server_encoding')
