-- Q1, Q5, Q14: inserts all jobs or none. Each is live at once: ready if it is due, else scheduled.
-- An existing id fails the call with a unique violation. Returns the time of the insert.
--
-- p_more has the fields that few jobs have, as one JSON object per job, so that a new field needs
-- no new signature: `attributes`, a text; `unique_key`, a text, and `unique_keep`, microseconds. It
-- is empty if no job has any of them. Jobs with a key must come from insert_unique_jobs.
CREATE OR REPLACE FUNCTION {schema}.insert_jobs(
    p_now timestamptz,
    p_ids uuid[],
    p_kinds text[],
    p_queues text[],
    p_priorities smallint[],
    p_run_ats timestamptz[],
    p_max_retries integer[],
    p_timeouts interval[],
    p_backoff_bases interval[],
    p_backoff_caps interval[],
    p_backoff_jitters smallint[],
    p_payloads text[],
    p_more text[] DEFAULT '{}'
) RETURNS timestamptz
LANGUAGE plpgsql {function_settings}
AS $$
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
BEGIN
    WITH job AS (
        INSERT INTO jobs (
            id, created_at, run_at, timeout, backoff_base, backoff_cap, max_retries, priority,
            backoff_jitter, kind, queue, payload,
            attributes, unique_key, unique_keep
        )
        SELECT
            id, v_now, coalesce(run_at, v_now), timeout,
            -- A cap below its base counts as the base, and a missing jitter as 0 percent.
            backoff_base, greatest(backoff_base, backoff_cap), max_retries, priority,
            CASE WHEN backoff_base IS NOT NULL THEN coalesce(backoff_jitter, 0::smallint) END,
            kind, queue, payload::json, (more::json ->> 'attributes')::json,
            more::json ->> 'unique_key',
            microseconds((more::json ->> 'unique_keep')::bigint)
        FROM unnest(
            p_ids, p_kinds, p_queues, p_priorities, p_run_ats, p_max_retries, p_timeouts,
            p_backoff_bases, p_backoff_caps, p_backoff_jitters, p_payloads, p_more
        ) AS new (
            id, kind, queue, priority, run_at, max_retries, timeout, backoff_base, backoff_cap,
            backoff_jitter, payload, more
        )
        RETURNING id, run_at, max_retries, priority, queue, kind, unique_key
    )
    INSERT INTO live (id, run_at, attempt, max_retries, state, priority, queue, kind, ties)
    SELECT id, run_at, 0, max_retries,
        CASE WHEN run_at <= v_now THEN 'ready' ELSE 'scheduled' END::job_state,
        priority, queue, kind, CASE WHEN unique_key IS NOT NULL THEN 1 END
    FROM job;
    RETURN v_now;
END
$$;

-- Q16: returns the jobs stored under these ids, for comparison with jobs that are submitted again.
-- Security: returns the stored payload only if it equals the submitted one, otherwise ''. An
-- enqueuer therefore cannot read other payloads.
CREATE OR REPLACE FUNCTION {schema}.known_jobs(p_ids uuid[], p_payloads text[])
RETURNS TABLE (
    id uuid, created_at timestamptz, run_at timestamptz, timeout interval, backoff_base interval,
    backoff_cap interval, max_retries integer, priority smallint, backoff_jitter smallint,
    kind text, queue text, payload text, unique_key text, unique_keep interval
)
LANGUAGE plpgsql STABLE {function_settings}
AS $$
BEGIN
    RETURN QUERY
    SELECT
        j.id, j.created_at::timestamptz, j.run_at::timestamptz, j.timeout::interval,
        j.backoff_base::interval, j.backoff_cap::interval,
        j.max_retries::integer, j.priority, j.backoff_jitter::smallint, j.kind::text, j.queue::text,
        CASE WHEN j.payload::text = s.payload COLLATE "C" THEN s.payload ELSE '' END,
        j.unique_key::text, j.unique_keep::interval
    FROM unnest(p_ids, p_payloads) AS s (job, payload)
    JOIN jobs j ON j.id = ANY (p_ids) AND j.id = s.job;
END
$$;
