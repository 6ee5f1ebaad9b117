-- Tells other processes. Nothing is lost if it is, so the commit, during which no other notification can be
-- committed, does not wait for the disk. Says whether the server takes writes: an old primary takes notifications.
SELECT current_setting('transaction_read_only'), set_config('synchronous_commit', 'off', true), pg_notify($1, $2)
