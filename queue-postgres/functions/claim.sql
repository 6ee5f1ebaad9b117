-- Q3, Q7, Q13, Q14, Q19: claims up to p_limit ready jobs of a queue.
--
-- Claims level by level, from the highest priority down. For each requested kind, a level is one
-- range of the index live_ready, in claim order. Jobs of other kinds, of later times and of the
-- past therefore cost nothing. p_levels, descending, names levels of which the claim reads only
-- jobs after (p_after_run_ats, p_after_ids). Otherwise, under an old snapshot, it would read the
-- index entries of all claimed jobs at the head of a level. Jobs that this claim promotes are
-- always read.
--
-- From a paused queue, it claims nothing. It skips the jobs in p_without, because a row of theirs
-- could not be written. If the row of another job cannot be written, the whole claim fails. With
-- p_each, it leases each job separately and returns a job that cannot be leased with the cause.
--
-- Returns: one row per claimed job, unsorted; one row per level with promoted jobs, with only
-- priority and run_at; one row per job with a row that could not be written, with its id, and the
-- cause as payload. The last row has the time of the claim and the time when the next waiting job
-- is due.
CREATE OR REPLACE FUNCTION {schema}.claim(
    p_now timestamptz,
    p_worker uuid,
    p_claim uuid,
    p_queue text,
    p_kinds text[],
    p_limit integer,
    p_last_attempts integer,
    p_grace interval,
    p_levels smallint[],
    p_after_run_ats timestamptz[],
    p_after_ids uuid[],
    p_waiting_after timestamptz,
    p_without uuid[],
    p_each boolean
) RETURNS TABLE (
    id uuid, kind text, priority smallint, run_at timestamptz, attempt integer, max_retries integer,
    timeout interval, backoff_base interval, backoff_cap interval, backoff_jitter smallint,
    payload text, due_at timestamptz, attributes text
)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_due timestamptz;
    v_passed_over uuid[] := p_without;
    v_quotas integer[] := ARRAY[p_limit];
    v_named integer := 1;
    v_level integer := 32768;
    v_next integer;
    v_after_run_at timestamptz;
    v_after_id uuid;
    v_taken uuid[] := '{}';
    v_last bigint := 0;
    v_more uuid[];
    v_more_last bigint;
    v_is_paused boolean;
    v_job uuid;
BEGIN
    -- A separate statement, so that later statements have a snapshot from after the lock.
    PERFORM pg_advisory_xact_lock_shared(pause_lock(p_queue));
    v_is_paused := EXISTS (SELECT 1 FROM queues q
        WHERE q.name = p_queue AND q.paused_at IS NOT NULL);

    SELECT l.run_at INTO v_due FROM live l
    WHERE l.state IN ('scheduled', 'retrying') AND l.queue = p_queue AND l.run_at > p_waiting_after
        AND l.id <> ALL (p_without)
    ORDER BY l.run_at LIMIT 1;
    IF v_due <= v_now THEN
        -- A separate statement, because a statement does not see the jobs that it promotes.
        FOR priority, run_at, id, payload IN
            SELECT p.priority, p.run_at, p.passed_over, p.fault
            FROM promote(v_now, p_queue, 1000, p_waiting_after, p_without) p
        LOOP
            IF id IS NOT NULL THEN
                v_passed_over := v_passed_over || id;
            ELSIF run_at <= p_after_run_ats[array_position(p_levels, priority)] THEN
                p_after_run_ats[array_position(p_levels, priority)]
                    := run_at - interval '1 microsecond';
            END IF;
            RETURN NEXT;
        END LOOP;
        priority := NULL;
        id := NULL;
        payload := NULL;
        v_due := NULL;
        SELECT l.run_at INTO v_due FROM live l
        WHERE l.state IN ('scheduled', 'retrying') AND l.queue = p_queue
            AND l.run_at > p_waiting_after
            AND l.id <> ALL (v_passed_over)
        ORDER BY l.run_at LIMIT 1;
    END IF;

    WHILE cardinality(v_taken) < p_limit AND NOT v_is_paused LOOP
        -- The next level with a job of a requested kind, above the next level in p_levels.
        SELECT max(ready.priority) INTO v_next
        FROM unnest(p_kinds) AS k (kind)
        CROSS JOIN LATERAL (
            SELECT l.priority FROM live l
            WHERE l.state = 'ready' AND l.queue = p_queue AND l.kind = k.kind
                AND l.priority < v_level AND l.priority > coalesce(p_levels[v_named], -32769)
            ORDER BY l.priority DESC
            LIMIT 1
        ) ready;
        v_after_run_at := '-infinity';
        v_after_id := '00000000-0000-0000-0000-000000000000';
        IF v_next IS NOT NULL THEN
            v_level := v_next;
        ELSIF v_named <= cardinality(p_levels) THEN
            v_level := p_levels[v_named];
            v_after_run_at := p_after_run_ats[v_named];
            v_after_id := p_after_ids[v_named];
            v_named := v_named + 1;
        ELSE
            EXIT;
        END IF;

        IF cardinality(p_kinds) = 1 THEN
            v_quotas := ARRAY[p_limit - cardinality(v_taken)];
        ELSE
            -- The number of jobs per kind among the first jobs. Without locks, because locks on the
            -- first jobs of each kind would hide these jobs from concurrent claims.
            v_quotas := ARRAY(
                SELECT coalesce(first.jobs, 0)
                FROM unnest(p_kinds) WITH ORDINALITY AS k (kind, number)
                LEFT JOIN (
                    SELECT o.kind, count(*)::integer AS jobs FROM (
                        SELECT o.kind
                        FROM unnest(p_kinds) AS o (kind)
                        CROSS JOIN LATERAL (
                            SELECT l.run_at, l.id FROM live l
                            WHERE l.state = 'ready' AND l.queue = p_queue AND l.kind = o.kind
                                AND l.priority = v_level
                                AND (l.run_at, l.id) > (v_after_run_at, v_after_id)
                                AND l.run_at <= v_now
                                AND l.id <> ALL (p_without)
                            ORDER BY l.run_at, l.id
                            LIMIT p_limit - cardinality(v_taken)
                        ) ready
                        ORDER BY ready.run_at, ready.id
                        LIMIT p_limit - cardinality(v_taken)
                    ) o
                    GROUP BY o.kind
                ) first ON first.kind = k.kind
                ORDER BY k.number
            );
        END IF;

        SELECT array_agg(ready.id), count(*) FILTER (WHERE ready.attempt >= ready.max_retries)
        INTO v_more, v_more_last
        FROM unnest(p_kinds, v_quotas) AS k (kind, quota)
        CROSS JOIN LATERAL (
            SELECT l.id, l.attempt, l.max_retries FROM live l
            WHERE l.state = 'ready' AND l.queue = p_queue AND l.kind = k.kind
                AND l.priority = v_level
                AND (l.run_at, l.id) > (v_after_run_at, v_after_id) AND l.run_at <= v_now
                AND l.id <> ALL (p_without)
            ORDER BY l.run_at, l.id
            LIMIT k.quota
            FOR UPDATE SKIP LOCKED
        ) ready;
        v_taken := v_taken || v_more;
        v_last := v_last + v_more_last;
        EXIT WHEN v_last > p_last_attempts;
    END LOOP;

    IF v_last > p_last_attempts THEN
        -- Ends before the first job that exceeds the limit of last attempts.
        v_taken := ARRAY(
            SELECT counted.id FROM (
                SELECT l.id, count(*) FILTER (WHERE l.attempt >= l.max_retries)
                    OVER (ORDER BY l.priority DESC, l.run_at, l.id) AS last_attempts
                FROM live l WHERE l.id = ANY (v_taken)
            ) counted
            WHERE counted.last_attempts <= p_last_attempts
        );
    END IF;

    -- Excludes a rescue of this worker, which locks the row FOR UPDATE. A claim without jobs takes
    -- no lock, so that it writes nothing.
    IF cardinality(v_taken) > 0 THEN
        PERFORM 1 FROM workers w WHERE w.id = p_worker AND w.state = 'live' FOR KEY SHARE;
    ELSE
        PERFORM 1 FROM workers w WHERE w.id = p_worker AND w.state = 'live';
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the worker % is not registered, or is lost', ulid(p_worker)
            USING ERRCODE = 'QUEWL';
    END IF;

    IF NOT p_each THEN
        RETURN QUERY
        UPDATE live l
        SET state = 'running', attempt = l.attempt + 1, claim = p_claim, worker = p_worker,
            deadline = least(
                v_now + least(j.timeout, '70000000 hours') + least(p_grace, '70000000 hours'),
                '9999-12-31 23:59:59.999999Z'
            )
        FROM jobs j
        WHERE l.id = ANY (v_taken) AND j.id = ANY (v_taken) AND j.id = l.id
        RETURNING l.id, l.kind, l.priority, l.run_at, l.attempt, l.max_retries, j.timeout::interval,
            j.backoff_base::interval, j.backoff_cap::interval, j.backoff_jitter::smallint,
            j.payload::text, NULL::timestamptz,
            j.attributes::text;
    ELSE
        FOREACH v_job IN ARRAY v_taken LOOP
            BEGIN
                RETURN QUERY SELECT * FROM lease(v_now, v_job, p_worker, p_claim, p_grace);
            EXCEPTION WHEN OTHERS THEN
                IF NOT is_of_a_row(SQLSTATE) THEN
                    RAISE;
                END IF;
                id := v_job;
                payload := SQLERRM;
                RETURN NEXT;
                id := NULL;
                payload := NULL;
            END;
        END LOOP;
    END IF;

    run_at := v_now;
    due_at := v_due;
    RETURN NEXT;
END
$$;

-- Q19: leases one job, like the last statement of claim. A separate function, so that no row is
-- returned for a job that cannot be leased. If claim called it for all jobs, a claim would cost a
-- few percent more.
CREATE OR REPLACE FUNCTION {schema}.lease(p_now timestamptz, p_job uuid, p_worker uuid,
    p_claim uuid, p_grace interval)
RETURNS TABLE (
    id uuid, kind text, priority smallint, run_at timestamptz, attempt integer, max_retries integer,
    timeout interval, backoff_base interval, backoff_cap interval, backoff_jitter smallint,
    payload text, due_at timestamptz, attributes text
)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    UPDATE live l
    SET state = 'running', attempt = l.attempt + 1, claim = p_claim, worker = p_worker,
        deadline = least(
            p_now + least(j.timeout, '70000000 hours') + least(p_grace, '70000000 hours'),
            '9999-12-31 23:59:59.999999Z'
        )
    FROM jobs j
    WHERE l.id = p_job AND j.id = l.id
    RETURNING l.id, l.kind, l.priority, l.run_at, l.attempt, l.max_retries, j.timeout::interval,
        j.backoff_base::interval, j.backoff_cap::interval, j.backoff_jitter::smallint,
        j.payload::text, NULL::timestamptz,
            j.attributes::text;
END
$$;
