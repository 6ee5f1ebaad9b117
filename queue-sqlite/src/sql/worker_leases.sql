-- The number of leases of a worker, from the index alone.
SELECT count(*) FROM queue_live WHERE state = 2 AND worker = ?1
