-- Q3: the id of a worker that is gone is kept from a second use for a while.
DELETE FROM queue_workers WHERE state IN (2, 3) AND expires_at < ?1
