-- The number of a queue or kind.
SELECT name_id FROM queue_names WHERE name = ?1
