-- What went wrong in each attempt, oldest first.
SELECT attempt, at, error FROM queue_attempt_errors WHERE seq = ?1 ORDER BY attempt
