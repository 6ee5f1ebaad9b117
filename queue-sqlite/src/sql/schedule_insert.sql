-- Q23: creates a schedule, unless there is one of that name. ?6 is NULL, as no version is expected.
INSERT INTO queue_schedules (name, version, due_at, definition, state)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE ?6 IS NULL
ON CONFLICT (name) DO NOTHING
