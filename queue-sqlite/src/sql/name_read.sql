-- The queue or kind of a number.
SELECT name FROM queue_names WHERE name_id = ?1
