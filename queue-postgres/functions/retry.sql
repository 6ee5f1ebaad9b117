-- Q8: makes finished jobs ready again. A job keeps its number of attempts, and may be retried from
-- there as often as at first. Returns for each job whether it is ready again, its state (NULL if
-- it does not exist), and the other job that holds its unique key.
--
-- Locks the jobs first, in the order of the ids, and reads the states in a later statement. If a
-- job has ended between the two, the caller must retry the whole call.
CREATE OR REPLACE FUNCTION {schema}.retry(p_now timestamptz, p_jobs uuid[])
RETURNS TABLE (place bigint, is_retried boolean, state text, holder uuid, queue text,
    priority smallint, run_at timestamptz)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_ended uuid[];
    v_retried uuid[];
    v_refused uuid[] := '{}';
    v_holders uuid[] := '{}';
    v_holder uuid;
    v_job record;
    v_has_ended boolean;
BEGIN
    v_ended := ARRAY(
        SELECT o.id FROM outcomes o
        WHERE o.id = ANY (p_jobs) AND (SELECT l.id FROM live l WHERE l.id = o.id) IS NULL
        ORDER BY o.id FOR UPDATE OF o
    );
    v_now := coalesce(p_now, clock_timestamp());
    -- In the order of the keys, as inserts take them.
    FOR v_job IN
        SELECT j.id, j.kind, j.unique_key FROM jobs j
        WHERE j.id = ANY (v_ended) AND j.unique_key IS NOT NULL
        ORDER BY j.kind, j.unique_key, array_position(p_jobs, j.id)
    LOOP
        -- A completed job may have kept its key.
        UPDATE unique_keys u SET until = NULL
        WHERE u.kind = v_job.kind AND u.key = v_job.unique_key AND u.job = v_job.id;
        IF NOT FOUND THEN
            v_holder := hold_key(v_now, v_job.kind, v_job.unique_key, v_job.id);
            IF v_holder IS NOT NULL THEN
                v_refused := v_refused || v_job.id;
                v_holders := v_holders || v_holder;
            END IF;
        END IF;
    END LOOP;

    WITH ended AS (
        DELETE FROM outcomes o USING jobs j
        WHERE o.id = ANY (v_ended) AND o.id <> ALL (v_refused) AND j.id = ANY (v_ended)
            AND j.id = o.id
        RETURNING j.id, o.attempt, j.max_retries, j.priority, j.queue, j.kind, j.unique_key
    ), stored AS (
        INSERT INTO live (id, run_at, attempt, max_retries, state, priority, queue, kind, ties)
        SELECT id, v_now, attempt, least(least(attempt, 65535) + max_retries, 65535), 'ready',
            priority, queue, kind, CASE WHEN unique_key IS NOT NULL THEN 1 END
        FROM ended
        RETURNING id
    )
    SELECT coalesce(array_agg(stored.id), '{}') INTO v_retried FROM stored;
    IF cardinality(v_retried) + cardinality(v_refused) < cardinality(v_ended) THEN
        RAISE EXCEPTION 'a finished job has no row in "jobs"' USING ERRCODE = 'data_corrupted';
    END IF;

    FOR place, is_retried, state, holder, queue, priority, run_at, v_has_ended IN
        SELECT s.place, s.job = ANY (v_retried), coalesce(l.state, o.state)::text, r.holder,
            l.queue, l.priority, l.run_at,
            o.id IS NOT NULL AND l.id IS NULL AND o.id <> ALL (v_ended)
        FROM unnest(p_jobs) WITH ORDINALITY AS s (job, place)
        LEFT JOIN live l ON l.id = ANY (p_jobs) AND l.id = s.job
        LEFT JOIN outcomes o ON o.id = ANY (p_jobs) AND o.id = s.job
        LEFT JOIN unnest(v_refused, v_holders) AS r (job, holder) ON r.job = s.job
    LOOP
        IF v_has_ended THEN
            RAISE EXCEPTION 'a job ended while it was retried'
                USING ERRCODE = 'serialization_failure';
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
