-- Q17: reads the paused queues.
SELECT * FROM {schema}.paused()
