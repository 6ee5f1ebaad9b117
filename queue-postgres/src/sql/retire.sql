-- Q11: retires a worker that has no running jobs.
SELECT {schema}.retire($1)
