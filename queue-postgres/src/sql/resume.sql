-- Q17: resumes the queue; returns whether it was paused.
SELECT {schema}.resume($1)
