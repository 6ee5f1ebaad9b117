-- Q11: a worker that left something running is left to expire.
SELECT {schema}.retire($1)
