-- Q9: one row per job, in the order of the list.
SELECT is_cancelled_now, state, is_watched FROM {schema}.cancel($1, $2, $3) ORDER BY place
