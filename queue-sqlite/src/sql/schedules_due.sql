-- Q23: the schedules that are due, the earliest first.
SELECT name, version, due_at, definition, state FROM queue_schedules
WHERE due_at <= ?1 ORDER BY due_at, name LIMIT ?2
