-- Q3: whether the worker's id is new.
SELECT {schema}.register($1, $2, $3, $4)
