-- Q9: reads those of these jobs that run and have a cancel request.
SELECT job FROM {schema}.wanted_cancels($1) AS wanted (job)
