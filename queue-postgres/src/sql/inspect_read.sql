-- Q20: reads the current records of jobs.
SELECT
    j.id, j.created_at, j.kind, j.queue, j.priority, j.run_at, j.max_retries, j.timeout,
    j.backoff_base, j.backoff_cap, j.backoff_jitter, j.payload::text, j.attributes::text,
    j.unique_key, j.unique_keep,
    coalesce(l.state, o.state)::text, coalesce(l.run_at, j.run_at), coalesce(l.attempt, o.attempt),
    l.progress_done::text, l.progress_total::text, o.finished_at, o.result, o.error,
    e.attempts, e.times, e.errors, e.durations, e.workers
FROM {schema}.jobs j
LEFT JOIN {schema}.live l ON l.id = j.id
LEFT JOIN {schema}.outcomes o ON o.id = j.id
LEFT JOIN LATERAL (
    SELECT
        array_agg(a.attempt ORDER BY a.attempt) AS attempts,
        array_agg(a.at ORDER BY a.attempt) AS times,
        array_agg(a.error ORDER BY a.attempt) AS errors,
        array_agg(a.duration::interval ORDER BY a.attempt) AS durations,
        array_agg(a.worker ORDER BY a.attempt) AS workers
    FROM {schema}.attempt_errors a WHERE a.job = j.id
) e ON true
WHERE j.id = ANY ($1)
