-- Q9: a row for each job, in the order of the list.
SELECT is_cancelled_now, state FROM {schema}.cancel($1, $2, $3) ORDER BY place
