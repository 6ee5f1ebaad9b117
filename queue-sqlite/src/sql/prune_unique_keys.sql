-- Q15: removes keys whose time has passed. ?1 now
DELETE FROM queue_unique_keys WHERE until <= ?1
