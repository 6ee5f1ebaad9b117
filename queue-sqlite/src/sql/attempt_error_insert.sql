-- What went wrong in an attempt.
INSERT INTO queue_attempt_errors (seq, attempt, at, error)
VALUES {rows}
ON CONFLICT (seq, attempt) DO UPDATE SET at = excluded.at, error = excluded.error
