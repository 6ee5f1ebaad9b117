-- Q9: those of these jobs that run and somebody wants cancelled.
SELECT job FROM {schema}.wanted_cancels($1) AS wanted (job)
