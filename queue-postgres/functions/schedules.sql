-- Q23: returns the schedules that are due, the earliest first. The last row has the time of the
-- look, and when the first of the others is due. STABLE, so that both are of one snapshot.
CREATE OR REPLACE FUNCTION {schema}.due_schedules(p_now timestamptz, p_limit bigint)
RETURNS TABLE (name text, version uuid, due_at timestamptz, definition text, state text,
    now timestamptz, next_due timestamptz)
LANGUAGE plpgsql STABLE {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_due bigint;
BEGIN
    RETURN QUERY
    SELECT s.name::text, s.version, s.due_at::timestamptz, s.definition::text, s.state::text,
        NULL::timestamptz, NULL::timestamptz
    FROM schedules s
    WHERE s.due_at <= v_now ORDER BY s.due_at, s.name LIMIT p_limit;
    GET DIAGNOSTICS v_due = ROW_COUNT;
    RETURN QUERY
    SELECT NULL::text, NULL::uuid, NULL::timestamptz, NULL::text, NULL::text, v_now,
        (SELECT s.due_at::timestamptz FROM schedules s
        WHERE s.due_at IS NOT NULL ORDER BY s.due_at, s.name OFFSET v_due LIMIT 1);
END
$$;

-- Q23: changes the schedules that have the expected versions, and creates those that expect none.
-- A new version of NULL deletes. Inserts the jobs of these changes, unless their ids are stored
-- already. p_parents has the place of its change in the list for each job.
--
-- Skips a schedule that another transaction has locked, because that one is changing it.
--
-- Returns the place of each change that happened, one row per job that is known (with itself as the
-- holder) or whose unique key another job holds, and a last row with the time of the change.
CREATE OR REPLACE FUNCTION {schema}.change_schedules(
    p_now timestamptz,
    p_names text[],
    p_expected uuid[],
    p_versions uuid[],
    p_due_ats timestamptz[],
    p_definitions text[],
    p_states text[],
    p_parents bigint[],
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
    p_more text[]
) RETURNS TABLE (place bigint, job uuid, holder uuid, at timestamptz)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_held text[];
    v_done bigint[];
    v_known uuid[];
BEGIN
    v_held := ARRAY(
        SELECT s.name::text
        FROM schedules s
        JOIN unnest(p_names, p_expected) AS c (name, expected)
            ON s.name = c.name AND s.version = c.expected
        WHERE s.name = ANY (p_names)
        ORDER BY s.name
        FOR UPDATE OF s SKIP LOCKED
    );
    WITH change AS (
        SELECT *
        FROM unnest(p_names, p_expected, p_versions, p_due_ats, p_definitions, p_states)
            WITH ORDINALITY AS c (name, expected, version, due_at, definition, state, place)
    ), replaced AS (
        UPDATE schedules s
        SET version = c.version, due_at = c.due_at, definition = c.definition::json,
            state = c.state::json
        FROM change c
        WHERE s.name = ANY (v_held) AND s.name = c.name AND c.version IS NOT NULL
        RETURNING c.place
    ), deleted AS (
        DELETE FROM schedules s
        USING change c
        WHERE s.name = ANY (v_held) AND s.name = c.name AND c.version IS NULL
        RETURNING c.place
    ), created AS (
        INSERT INTO schedules (name, version, due_at, definition, state)
        SELECT c.name, c.version, c.due_at, c.definition::json, c.state::json
        FROM change c
        WHERE c.expected IS NULL
        ORDER BY c.name COLLATE "C"
        ON CONFLICT (name) DO NOTHING
        RETURNING name
    )
    SELECT array_agg(d.place) INTO v_done
    FROM (
        SELECT r.place FROM replaced r
        UNION ALL SELECT r.place FROM deleted r
        UNION ALL SELECT c.place FROM created r JOIN change c ON c.name = r.name
    ) d;
    RETURN QUERY SELECT unnest(v_done), NULL::uuid, NULL::uuid, NULL::timestamptz;
    IF p_parents && v_done THEN
        v_known := ARRAY(SELECT j.id FROM jobs j WHERE j.id = ANY (p_ids));
        RETURN QUERY
        SELECT NULL::bigint, k.id, k.id, NULL::timestamptz FROM unnest(v_known) AS k (id);
        RETURN QUERY
        SELECT NULL::bigint, i.job, i.holder, NULL::timestamptz
        FROM (
            SELECT array_agg(n.id) AS ids, array_agg(n.kind) AS kinds, array_agg(n.queue) AS queues,
                array_agg(n.priority) AS priorities, array_agg(n.run_at) AS run_ats,
                array_agg(n.max_retries) AS max_retries, array_agg(n.timeout) AS timeouts,
                array_agg(n.backoff_base) AS bases, array_agg(n.backoff_cap) AS caps,
                array_agg(n.backoff_jitter) AS jitters, array_agg(n.payload) AS payloads,
                array_agg(n.more) AS more
            FROM unnest(
                p_parents, p_ids, p_kinds, p_queues, p_priorities, p_run_ats, p_max_retries,
                p_timeouts, p_backoff_bases, p_backoff_caps, p_backoff_jitters, p_payloads, p_more
            ) AS n (
                parent, id, kind, queue, priority, run_at, max_retries, timeout, backoff_base,
                backoff_cap, backoff_jitter, payload, more
            )
            WHERE n.parent = ANY (v_done) AND n.id <> ALL (v_known)
            HAVING count(*) > 0
        ) a
        CROSS JOIN LATERAL insert_unique_jobs(
            v_now, a.ids, a.kinds, a.queues, a.priorities, a.run_ats, a.max_retries, a.timeouts,
            a.bases, a.caps, a.jitters, a.payloads, a.more
        ) i
        WHERE i.job IS NOT NULL;
    END IF;
    RETURN QUERY SELECT NULL::bigint, NULL::uuid, NULL::uuid, v_now;
END
$$;

-- Q23: returns schedules by name, in no order.
CREATE OR REPLACE FUNCTION {schema}.read_schedules(p_names text[])
RETURNS TABLE (name text, version uuid, due_at timestamptz, definition text, state text)
LANGUAGE plpgsql STABLE {function_settings}
AS $$
BEGIN
    RETURN QUERY
    SELECT s.name::text, s.version, s.due_at::timestamptz, s.definition::text, s.state::text
    FROM schedules s WHERE s.name = ANY (p_names);
END
$$;

-- Q23: returns schedules in the order of their names, which are ordered by their bytes.
CREATE OR REPLACE FUNCTION {schema}.list_schedules(p_after text, p_limit bigint)
RETURNS TABLE (name text, version uuid, due_at timestamptz, definition text, state text)
LANGUAGE plpgsql STABLE {function_settings}
AS $$
BEGIN
    RETURN QUERY
    SELECT s.name::text, s.version, s.due_at::timestamptz, s.definition::text, s.state::text
    FROM schedules s WHERE s.name > p_after ORDER BY s.name LIMIT p_limit;
END
$$;
