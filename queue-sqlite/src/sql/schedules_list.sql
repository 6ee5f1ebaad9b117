-- Schedules in the order of their names, which are ordered by their bytes.
SELECT name, version, due_at, definition, state FROM queue_schedules
WHERE name > ?1 ORDER BY name LIMIT ?2
