-- Q8, Q16: removes up to p_limit finished jobs that ended longer ago than their state is kept and
-- whose id is older than p_window. Also removes unique keys whose time has passed, and the rows of
-- workers that are lost or retired for a day.
--
-- Reads jobs by id, which is by age, starting after p_after. Reads at most p_looks jobs, and none
-- that is younger than the shortest time that jobs are kept. (An id may be ahead of its job by at
-- most one hour; otherwise the job is kept longer.) Returns: one row per job or worker that could
-- not be removed, and a last row. That has the number of removed jobs and the position of the next
-- sweep; NULL is the beginning.
CREATE OR REPLACE FUNCTION {schema}.prune(
    p_now timestamptz,
    p_after uuid,
    p_completed interval,
    p_cancelled interval,
    p_dead interval,
    p_window interval,
    p_limit integer,
    p_looks integer,
    p_without uuid[]
) RETURNS TABLE (pruned bigint, next uuid, passed_over uuid, is_worker boolean, fault text)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_end uuid := least(
        least_id(v_now - least(p_window, '17000000 hours')),
        least_id(
            v_now - least(p_completed, p_cancelled, p_dead, '17000000 hours') + interval '1 hour'
        )
    );
    v_old uuid[];
    v_old_seen bigint;
    v_seen bigint;
    v_last uuid;
    v_pruned bigint := 0;
    v_job uuid;
BEGIN
    RETURN QUERY
    SELECT NULL::bigint, NULL::uuid, w.worker, true, w.fault
    FROM write_workers(ARRAY(
        SELECT e.id FROM workers e
        WHERE e.state IN ('cleared', 'retired') AND e.expires_at < v_now - interval '1 day'
            AND e.id <> ALL (p_without)
        ORDER BY e.id
        FOR UPDATE SKIP LOCKED
    ), NULL) w
    WHERE w.fault IS NOT NULL;

    DELETE FROM unique_keys u WHERE u.ctid = ANY (ARRAY(
        SELECT e.ctid FROM unique_keys e WHERE e.until <= v_now ORDER BY e.until LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ));

    WITH looked AS MATERIALIZED (
        SELECT o.id, o.finished_at < v_now - least('17000000 hours',
            CASE o.state WHEN 'completed' THEN p_completed WHEN 'cancelled' THEN p_cancelled
                ELSE p_dead END) AS is_old
        FROM outcomes o
        WHERE o.id > p_after AND o.id < v_end
        ORDER BY o.id
        LIMIT p_looks
    ), counted AS MATERIALIZED (
        SELECT id, is_old, count(*) FILTER (WHERE is_old) OVER (ORDER BY id) AS number FROM looked
    )
    SELECT array_agg(id) FILTER (WHERE is_old), max(number), count(*),
        (array_agg(id ORDER BY id DESC))[1]
    INTO v_old, v_old_seen, v_seen, v_last
    FROM counted WHERE number < p_limit OR number = p_limit AND is_old;

    -- Concurrent calls may prune, so each row is removed by only one of them. A job that was
    -- retried by hand may have ended anew meanwhile, so its age is checked again under the lock.
    v_old := ARRAY(
        SELECT o.id FROM outcomes o
        WHERE o.id = ANY (v_old) AND o.finished_at < v_now - least('17000000 hours',
            CASE o.state WHEN 'completed' THEN p_completed WHEN 'cancelled' THEN p_cancelled
                ELSE p_dead END)
        ORDER BY o.id
        FOR UPDATE SKIP LOCKED
    );
    BEGIN
        PERFORM remove(v_old);
        v_pruned := cardinality(v_old);
    EXCEPTION WHEN OTHERS THEN
        IF NOT is_of_a_row(SQLSTATE) THEN
            RAISE;
        END IF;
        FOREACH v_job IN ARRAY v_old LOOP
            BEGIN
                PERFORM remove(ARRAY[v_job]);
                v_pruned := v_pruned + 1;
            EXCEPTION WHEN OTHERS THEN
                IF NOT is_of_a_row(SQLSTATE) THEN
                    RAISE;
                END IF;
                RETURN QUERY SELECT NULL::bigint, NULL::uuid, v_job, false, SQLERRM;
            END;
        END LOOP;
    END;
    RETURN QUERY
    SELECT v_pruned, CASE WHEN v_seen >= p_looks OR v_old_seen >= p_limit THEN v_last END,
        NULL::uuid, NULL::boolean, NULL::text;
END
$$;

-- Q8: removes finished jobs, which the caller has locked, from all tables.
CREATE OR REPLACE FUNCTION {schema}.remove(p_jobs uuid[]) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    DELETE FROM attempt_errors e WHERE e.job = ANY (p_jobs);
    DELETE FROM outcomes o WHERE o.id = ANY (p_jobs);
    DELETE FROM jobs j WHERE j.id = ANY (p_jobs)
        AND (SELECT l.id FROM live l WHERE l.id = j.id) IS NULL;
END
$$;
