-- Q21: written in the transaction that applies the step.
INSERT INTO queue_migrations (version, name, applied_at, oldest_compatible) VALUES (?1, ?2, ?3, ?4)
