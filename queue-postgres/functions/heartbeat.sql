-- Q4, Q9, Q12: extends a worker's expiry and never shortens it. Stores the progress of its jobs,
-- each only under a live token. Returns the jobs with a cancel request.
CREATE OR REPLACE FUNCTION {schema}.heartbeat(
    p_now timestamptz,
    p_worker uuid,
    p_jobs uuid[],
    p_claims uuid[],
    p_done text[],
    p_total text[]
) RETURNS TABLE (is_late boolean, leases bigint, cancels uuid[], due_at timestamptz,
    now timestamptz)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_expires_at timestamptz;
    v_free uuid[];
BEGIN
    SELECT w.expires_at INTO v_expires_at FROM workers w WHERE w.id = p_worker AND w.state = 'live'
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the worker % is not registered, or is lost', ulid(p_worker)
            USING ERRCODE = 'QUEWL';
    END IF;
    v_now := coalesce(p_now, clock_timestamp());
    UPDATE workers w
    SET expires_at = greatest(w.expires_at,
        least(v_now + least(w.expiry, '70000000 hours'), '9999-12-31 23:59:59.999999Z'))
    WHERE w.id = p_worker;
    IF cardinality(p_jobs) > 0 THEN
        -- Skips a job that a transaction of an application is completing. The heartbeat must not
        -- wait for it, because the worker would be lost.
        v_free := ARRAY(
            SELECT l.id FROM live l WHERE l.id = ANY (p_jobs)
            ORDER BY l.id FOR NO KEY UPDATE SKIP LOCKED
        );
        UPDATE live l SET progress_done = s.done::numeric, progress_total = s.total::numeric
        FROM unnest(p_jobs, p_claims, p_done, p_total) AS s (job, claim, done, total)
        WHERE l.id = ANY (v_free) AND l.id = s.job AND l.claim = s.claim;
    END IF;
    RETURN QUERY
    SELECT v_expires_at <= v_now, count(*), array_agg(l.id) FILTER (WHERE l.cancel_requested),
        next_due(), v_now
    FROM live l WHERE l.state = 'running' AND l.worker = p_worker;
END
$$;
