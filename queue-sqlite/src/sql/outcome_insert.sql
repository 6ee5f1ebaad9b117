-- Q8, Q10: final state, result and claim of a job in one row.
INSERT INTO queue_outcomes (seq, state, finished_at, attempt, claim, error, result)
VALUES {rows}
