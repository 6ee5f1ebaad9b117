-- Q1, Q14, Q15: as live_insert.sql, and marks the jobs that hold a unique key.
-- ?1 first seq, ?2 now, ?3 the latest time (a longer timeout would overflow the deadline)
INSERT INTO queue_live (seq, id, queue, kind, priority, state, run_at, attempt, max_retries,
    timeout, ties)
SELECT seq, id, queue, kind, priority, run_at <= ?2, run_at, 0, max_retries, min(timeout, ?3),
    iif(unique_key IS NULL, NULL, 1)
FROM queue_jobs WHERE seq >= ?1
