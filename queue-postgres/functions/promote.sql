-- Q14, Q19: makes due jobs of a queue ready, those due longest first. Reads only jobs with a time
-- after p_after, and skips those in p_without. If the row of a job cannot be written, makes each
-- job ready separately, and returns those that cannot be written with the cause.
CREATE OR REPLACE FUNCTION {schema}.promote(
    p_now timestamptz,
    p_queue text,
    p_limit integer,
    p_after timestamptz,
    p_without uuid[]
) RETURNS TABLE (priority smallint, run_at timestamptz, jobs bigint, passed_over uuid, fault text)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_due uuid[];
    v_job uuid;
BEGIN
    v_due := ARRAY(
        SELECT l.id FROM live l
        WHERE l.state IN ('scheduled', 'retrying') AND l.queue = p_queue AND l.run_at > p_after
            AND l.run_at <= p_now
            AND l.id <> ALL (p_without)
        ORDER BY l.run_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    );
    BEGIN
        RETURN QUERY SELECT r.*, NULL::uuid, NULL::text FROM make_ready(v_due) r;
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        IF NOT is_of_a_row(SQLSTATE) THEN
            RAISE;
        END IF;
    END;
    FOREACH v_job IN ARRAY v_due LOOP
        BEGIN
            RETURN QUERY SELECT r.*, NULL::uuid, NULL::text FROM make_ready(ARRAY[v_job]) r;
        EXCEPTION WHEN OTHERS THEN
            IF NOT is_of_a_row(SQLSTATE) THEN
                RAISE;
            END IF;
            RETURN QUERY SELECT NULL::smallint, NULL::timestamptz, 0::bigint, v_job, SQLERRM;
        END;
    END LOOP;
END
$$;

-- Q14: makes these jobs ready, which the caller has locked. Returns the least time and the number
-- of jobs per priority.
CREATE OR REPLACE FUNCTION {schema}.make_ready(p_jobs uuid[])
RETURNS TABLE (priority smallint, run_at timestamptz, jobs bigint)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH promoted AS (
        UPDATE live l SET state = 'ready' WHERE l.id = ANY (p_jobs) RETURNING l.priority, l.run_at
    )
    SELECT promoted.priority, min(promoted.run_at), count(*) FROM promoted
    GROUP BY promoted.priority;
END
$$;

-- Q14: returns the time when the first waiting job of any queue is due, with one step in the index
-- per queue that has waiting jobs.
CREATE OR REPLACE FUNCTION {schema}.next_due() RETURNS timestamptz
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
