-- Makes the jobs of the last insert ready in one statement.
INSERT INTO live (seq, queue, kind, priority, state, run_at, attempt, max_retries)
SELECT seq, queue, kind, priority, 1, run_at, 0, max_retries FROM jobs WHERE seq >= ?1
