-- The errors of the attempts, oldest first.
SELECT attempt, at, error, duration, worker
FROM queue_attempt_errors WHERE seq = ?1 ORDER BY attempt
