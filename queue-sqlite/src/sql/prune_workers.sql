-- Q3: removes old rows of lost and retired workers; until then, their ids are not registered again.
DELETE FROM queue_workers WHERE worker_id IN (SELECT value FROM rarray(?1)) AND +state IN (2, 3)
