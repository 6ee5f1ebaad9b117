-- Q15: the job that holds a key.
SELECT job FROM queue_unique_keys WHERE kind = ?1 AND key = ?2
