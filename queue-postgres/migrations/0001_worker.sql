-- Q3: a worker's id is used once. Whether it was new.
CREATE FUNCTION {schema}.register(p_now timestamptz, p_worker uuid, p_name text, p_expiry interval)
RETURNS boolean
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    INSERT INTO workers (id, name, expiry, expires_at)
    VALUES (
        p_worker, p_name, p_expiry,
        least(coalesce(p_now, clock_timestamp()) + least(p_expiry, '70000000 hours'), '9999-12-31 23:59:59.999999Z')
    )
    ON CONFLICT (id) DO NOTHING;
    RETURN FOUND;
END
$$;

-- Q14: when the first waiting job of any queue is due: a step in the index for each queue in which jobs wait.
CREATE FUNCTION {schema}.next_due() RETURNS timestamptz
LANGUAGE plpgsql STABLE {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_queue text := '';
    v_due timestamptz;
    v_first timestamptz;
BEGIN
    LOOP
        SELECT l.queue, l.run_at INTO v_queue, v_due FROM live l
        WHERE l.state IN ('scheduled', 'retrying') AND l.queue > v_queue
        ORDER BY l.queue, l.run_at LIMIT 1;
        EXIT WHEN NOT FOUND;
        v_first := least(v_first, v_due);
    END LOOP;
    RETURN v_first;
END
$$;

-- Q4, Q9, Q12: extends a worker's expiry, never back; stores what its jobs say of their progress, each only under a live
-- token; tells which of them somebody wants cancelled.
CREATE FUNCTION {schema}.heartbeat(
    p_now timestamptz,
    p_worker uuid,
    p_jobs uuid[],
    p_claims uuid[],
    p_done text[],
    p_total text[]
) RETURNS TABLE (is_late boolean, leases bigint, cancels uuid[], due_at timestamptz, now timestamptz)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_expires_at timestamptz;
BEGIN
    SELECT w.expires_at INTO v_expires_at FROM workers w WHERE w.id = p_worker AND w.state = 'live' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the worker % is not registered, or was given up', ulid(p_worker) USING ERRCODE = 'QUEWL';
    END IF;
    v_now := coalesce(p_now, clock_timestamp());
    UPDATE workers w
    SET expires_at = greatest(w.expires_at, least(v_now + least(w.expiry, '70000000 hours'), '9999-12-31 23:59:59.999999Z'))
    WHERE w.id = p_worker;
    IF cardinality(p_jobs) > 0 THEN
        UPDATE live l SET progress_done = s.done::numeric, progress_total = s.total::numeric
        FROM unnest(p_jobs, p_claims, p_done, p_total) AS s (job, claim, done, total)
        WHERE l.id = ANY (p_jobs) AND l.id = s.job AND l.claim = s.claim;
    END IF;
    RETURN QUERY
    SELECT v_expires_at <= v_now, count(*), array_agg(l.id) FILTER (WHERE l.cancel_requested), next_due(), v_now
    FROM live l WHERE l.state = 'running' AND l.worker = p_worker;
END
$$;

-- Q11: a worker that left something running is left to expire.
CREATE FUNCTION {schema}.retire(p_worker uuid) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    PERFORM 1 FROM workers WHERE id = p_worker FOR UPDATE;
    UPDATE workers w SET state = 'retired'
    WHERE w.id = p_worker AND w.state = 'live'
        AND NOT EXISTS (SELECT 1 FROM live l WHERE l.state = 'running' AND l.worker = p_worker);
END
$$;
