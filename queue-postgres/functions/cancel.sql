-- Q9: cancels jobs that have not started. Returns the state of each other job: running, a final
-- state, or NULL if the job does not exist. With p_signal, it also requests the cancel of running
-- jobs from their workers. Also returns whether a job that it cancelled is watched.
--
-- Locks the jobs first, in the order of the ids, and reads the states in a later statement. If a
-- job was inserted between the two, the caller must retry the whole call, because that job was
-- neither cancelled nor marked.
CREATE OR REPLACE FUNCTION {schema}.cancel(p_now timestamptz, p_jobs uuid[], p_signal boolean)
RETURNS TABLE (place bigint, is_cancelled_now boolean, state text, is_watched boolean)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_locked uuid[];
    v_cancelled uuid[];
    v_tied uuid[];
    v_watched uuid[];
    v_is_new boolean;
BEGIN
    v_locked := ARRAY(SELECT l.id FROM live l WHERE l.id = ANY (p_jobs) ORDER BY l.id FOR UPDATE);
    v_now := coalesce(p_now, clock_timestamp());
    WITH ended AS (
        DELETE FROM live l WHERE l.id = ANY (p_jobs) AND l.state <> 'running'
        RETURNING l.id, l.attempt, l.ties
    ), stored AS (
        INSERT INTO outcomes (id, finished_at, attempt, state)
        SELECT id, v_now, attempt, 'cancelled' FROM ended
    )
    SELECT array_agg(ended.id), array_agg(ended.id) FILTER (WHERE ended.ties & 1 = 1),
        array_agg(ended.id) FILTER (WHERE ended.ties & 2 = 2)
    INTO v_cancelled, v_tied, v_watched FROM ended;
    IF v_tied IS NOT NULL THEN
        PERFORM release_keys(v_now, v_tied);
    END IF;
    IF p_signal THEN
        UPDATE live l SET cancel_requested = true WHERE l.id = ANY (p_jobs) AND l.state = 'running';
    END IF;
    FOR place, is_cancelled_now, state, is_watched, v_is_new IN
        SELECT s.place, s.job = ANY (coalesce(v_cancelled, '{}')), coalesce(l.state, o.state)::text,
            s.job = ANY (coalesce(v_watched, '{}')), l.id IS NOT NULL AND l.id <> ALL (v_locked)
        FROM unnest(p_jobs) WITH ORDINALITY AS s (job, place)
        LEFT JOIN live l ON l.id = ANY (p_jobs) AND l.id = s.job
        LEFT JOIN outcomes o ON o.id = ANY (p_jobs) AND o.id = s.job
    LOOP
        IF v_is_new THEN
            RAISE EXCEPTION 'a job was inserted while it was cancelled'
                USING ERRCODE = 'serialization_failure';
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Q9: returns those of these jobs that run and have a cancel request. A worker calls it after a
-- notification of cancels, because any role may send one.
CREATE OR REPLACE FUNCTION {schema}.wanted_cancels(p_jobs uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE {function_settings}
AS $$
BEGIN
    RETURN QUERY
    SELECT l.id FROM live l
    WHERE l.id = ANY (p_jobs) AND l.state = 'running' AND l.cancel_requested;
END
$$;
