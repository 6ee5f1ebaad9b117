-- Q17: after the commit, claims from the queue return no jobs.
SELECT {schema}.pause($1)
