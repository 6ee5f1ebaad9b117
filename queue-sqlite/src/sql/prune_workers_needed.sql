-- Q3: the rows of workers that are gone and were kept long enough; whether there is one is all that is asked.
SELECT 1 FROM queue_workers WHERE state IN (2, 3) AND expires_at < ?1
