-- Q10: how jobs ended. Marks the unfinished ones, so that the function that ends them returns them.
--
-- Marks first, and reads in a later statement. A job that ends in between is therefore read as
-- ended, and one that ends later is marked. If a job was inserted between the two, the caller must
-- retry the whole call, because that job was not marked. Locks the jobs in the order of the ids. A
-- job that is marked already is not locked, so that repeated calls write nothing.
--
-- A claim skips the jobs that this locks. Therefore it returns one row per level with ready jobs
-- that it marked, without a place: their queues must be announced again. Also returns one row per
-- job with its place in the list: the state in which it ended, NULL if it is unfinished, or '' if
-- it does not exist.
CREATE OR REPLACE FUNCTION {schema}.watch(p_jobs uuid[])
RETURNS TABLE (place bigint, state text, result bytea, error text, queue text, priority smallint,
    run_at timestamptz)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_is_new boolean;
BEGIN
    PERFORM 1 FROM live l
    WHERE l.id = ANY (p_jobs) AND coalesce(l.ties & 2, 0) = 0
    ORDER BY l.id FOR NO KEY UPDATE;

    RETURN QUERY
    WITH marked AS (
        UPDATE live l SET ties = coalesce(l.ties, 0) | 2
        WHERE l.id = ANY (p_jobs) AND coalesce(l.ties & 2, 0) = 0
        RETURNING l.state, l.queue, l.priority, l.run_at
    )
    SELECT NULL::bigint, NULL::text, NULL::bytea, NULL::text, m.queue, m.priority, min(m.run_at)
    FROM marked m WHERE m.state = 'ready'
    GROUP BY m.queue, m.priority;

    queue := NULL;
    priority := NULL;
    run_at := NULL;
    FOR place, state, result, error, v_is_new IN
        SELECT s.place,
            CASE WHEN l.id IS NULL THEN coalesce(o.state::text, '') END,
            o.result, o.error, l.id IS NOT NULL AND coalesce(l.ties & 2, 0) = 0
        FROM unnest(p_jobs) WITH ORDINALITY AS s (job, place)
        LEFT JOIN live l ON l.id = ANY (p_jobs) AND l.id = s.job
        LEFT JOIN outcomes o ON o.id = ANY (p_jobs) AND o.id = s.job
    LOOP
        IF v_is_new THEN
            RAISE EXCEPTION 'a job was inserted while it was watched'
                USING ERRCODE = 'serialization_failure';
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
