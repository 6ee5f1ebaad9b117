-- Reads all unfinished jobs, even if the other tables contradict them.
SELECT id, queue, priority, state::text, run_at, attempt, max_retries, claim, worker, deadline,
    coalesce(ties & 1, 0) = 1
FROM {schema}.live ORDER BY id
