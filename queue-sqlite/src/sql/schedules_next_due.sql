-- The time of the first schedule after ?1 others.
SELECT due_at FROM queue_schedules WHERE due_at IS NOT NULL ORDER BY due_at, name LIMIT 1 OFFSET ?1
