-- Q3: the id of a worker that is gone is kept from a second use for a while.
DELETE FROM queue_workers WHERE worker_id IN (SELECT value FROM rarray(?1)) AND +state IN (2, 3)
