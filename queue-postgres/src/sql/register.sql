-- Q3: registers a worker; returns whether its id is new.
SELECT {schema}.register($1, $2, $3, $4)
