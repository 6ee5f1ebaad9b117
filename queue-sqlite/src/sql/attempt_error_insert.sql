-- Q10: records the error of an attempt, once per attempt.
INSERT INTO queue_attempt_errors (seq, attempt, at, error)
VALUES {rows}
ON CONFLICT (seq, attempt) DO UPDATE SET at = excluded.at, error = excluded.error
