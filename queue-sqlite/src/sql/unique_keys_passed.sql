-- Q15: whether there are keys whose time has passed. ?1 now
SELECT 1 FROM queue_unique_keys WHERE until <= ?1 LIMIT 1
