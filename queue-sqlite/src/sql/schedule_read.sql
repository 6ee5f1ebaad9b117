-- A schedule by name.
SELECT name, version, due_at, definition, state FROM queue_schedules WHERE name = ?1
