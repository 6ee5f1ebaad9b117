-- Q7, Q8: finished jobs of a list become ready, with as many retries as at first.
-- ?1 list, ?2 now, ?3 the latest time (a longer timeout would overflow the deadline)
INSERT INTO queue_live (seq, id, queue, kind, priority, state, run_at, attempt, max_retries,
    timeout, ties)
SELECT j.seq, j.id, j.queue, j.kind, j.priority, 1, ?2, o.attempt,
    min(o.attempt + j.max_retries, 65535), min(j.timeout, ?3), iif(j.unique_key IS NULL, NULL, 1)
FROM rarray(?1) a
CROSS JOIN queue_outcomes o ON o.seq = a.value
CROSS JOIN queue_jobs j ON j.seq = a.value
