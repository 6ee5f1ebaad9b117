-- Q8, Q10: what a job ended as, with the result and the claim that ended it, in one row.
INSERT INTO queue_outcomes (seq, state, finished_at, attempt, claim, error, result)
VALUES {rows}
