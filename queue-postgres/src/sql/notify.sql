-- Tells other processes. Nothing is lost if it is, so the commit, during which no other notification can be
-- committed, does not wait for the disk.
SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)
