-- What went wrong in an attempt.
INSERT INTO queue_attempt_errors (seq, attempt, at, error)
VALUES {rows}
