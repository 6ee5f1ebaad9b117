-- Q17: the queues that are paused.
SELECT * FROM {schema}.paused()
