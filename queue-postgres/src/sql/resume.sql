-- Q17: the queue goes on; whether it was paused.
SELECT {schema}.resume($1)
