-- Q23: replaces a schedule that nobody has changed. ?6 is the version that it must have.
UPDATE queue_schedules SET version = ?2, due_at = ?3, definition = ?4, state = ?5
WHERE name = ?1 AND version = ?6
