-- Notifies other processes. The commit does not wait for the disk, because a lost notification only
-- delays jobs, and no other notification commits in the meantime. Also returns whether the server
-- is read-only, because an old primary accepts notifications.
SELECT current_setting('transaction_read_only'), set_config('synchronous_commit', 'off', true),
    pg_notify($1, $2)
