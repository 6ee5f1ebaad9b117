-- Q3: returns the live leases of one claim of a worker. The lock waits for a running claim of the
-- worker.
CREATE OR REPLACE FUNCTION {schema}.leases(p_worker uuid, p_claim uuid)
RETURNS TABLE (
    id uuid, kind text, priority smallint, run_at timestamptz, attempt integer, max_retries integer,
    timeout interval, backoff_base interval, backoff_cap interval, backoff_jitter smallint,
    payload text, queue text, attributes text
)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
BEGIN
    PERFORM 1 FROM workers w WHERE w.id = p_worker FOR UPDATE;
    RETURN QUERY
    SELECT l.id, l.kind, l.priority, l.run_at, l.attempt, l.max_retries, j.timeout::interval,
        j.backoff_base::interval, j.backoff_cap::interval, j.backoff_jitter::smallint,
        j.payload::text, l.queue, j.attributes::text
    FROM live l
    CROSS JOIN LATERAL (SELECT * FROM jobs WHERE jobs.id = l.id LIMIT 1) j
    WHERE l.state = 'running' AND l.worker = p_worker AND l.claim = p_claim;
END
$$;
