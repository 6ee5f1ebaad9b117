-- Q23: deletes a schedule that nobody has changed.
DELETE FROM queue_schedules WHERE name = ?1 AND version = ?2
