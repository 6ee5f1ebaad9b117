-- Q10: how jobs ended, and the levels to announce again. The commit does not wait for the disk,
-- because a lost mark only delays a caller until it asks again.
SELECT w.place, w.state, w.result, w.error, w.queue, w.priority, w.run_at
FROM set_config('synchronous_commit', 'off', true), {schema}.watch($1) w
