-- Q8: one row per job, in the order of the list.
SELECT is_retried, state, holder, queue, priority, run_at FROM {schema}.retry($1, $2) ORDER BY place
