-- All unfinished jobs, as they are, whether or not the other tables agree.
SELECT id, queue, priority, state::text, run_at, attempt, max_retries, claim, worker, deadline FROM {schema}.live ORDER BY id
