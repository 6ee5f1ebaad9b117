-- Q7, Q11: takes these leases back, which the caller has locked: a job that has attempts left is ready again with its run_at
-- unchanged, any other is dead. No claim is kept: the one that is lost did not end the job, and must not be told that it did.
-- A row for each level that has ready jobs again, and a last one with how many died.
CREATE FUNCTION {schema}.take_back(p_now timestamptz, p_jobs uuid[], p_error text)
RETURNS TABLE (queue text, priority smallint, run_at timestamptz, rescued bigint, died bigint)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_died bigint;
BEGIN
    WITH ended AS (
        DELETE FROM live l WHERE l.id = ANY (p_jobs) AND l.attempt > l.max_retries RETURNING l.id, l.attempt
    ), failed AS (
        INSERT INTO attempt_errors (job, at, attempt, error) SELECT id, p_now, attempt, p_error FROM ended
        ON CONFLICT (job, attempt) DO UPDATE SET at = excluded.at, error = excluded.error
    )
    INSERT INTO outcomes (id, finished_at, attempt, state, error)
    SELECT id, p_now, attempt, 'dead', p_error FROM ended;
    GET DIAGNOSTICS v_died = ROW_COUNT;

    RETURN QUERY
    WITH moved AS (
        UPDATE live l
        SET state = 'ready', claim = NULL, worker = NULL, deadline = NULL, progress_done = NULL, progress_total = NULL
        WHERE l.id = ANY (p_jobs)
        RETURNING l.id, l.attempt, l.queue, l.priority, l.run_at
    ), failed AS (
        INSERT INTO attempt_errors (job, at, attempt, error) SELECT id, p_now, attempt, p_error FROM moved
        ON CONFLICT (job, attempt) DO UPDATE SET at = excluded.at, error = excluded.error
    )
    SELECT moved.queue, moved.priority, min(moved.run_at), count(*), 0::bigint FROM moved GROUP BY moved.queue, moved.priority;

    RETURN QUERY SELECT NULL::text, NULL::smallint, NULL::timestamptz, 0::bigint, v_died;
END
$$;

-- Q19: as take_back. If a row of a job cannot be written, each job is taken back by itself; one that cannot be is passed over and
-- named, with the reason.
CREATE FUNCTION {schema}.take_back_each(p_now timestamptz, p_jobs uuid[], p_error text)
RETURNS TABLE (queue text, priority smallint, run_at timestamptz, rescued bigint, died bigint, passed_over uuid, fault text)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_job uuid;
BEGIN
    IF cardinality(p_jobs) = 0 THEN
        RETURN;
    END IF;
    BEGIN
        RETURN QUERY SELECT t.*, NULL::uuid, NULL::text FROM take_back(p_now, p_jobs, p_error) t;
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        IF NOT is_of_a_row(SQLSTATE) THEN
            RAISE;
        END IF;
    END;
    FOREACH v_job IN ARRAY p_jobs LOOP
        BEGIN
            RETURN QUERY SELECT t.*, NULL::uuid, NULL::text FROM take_back(p_now, ARRAY[v_job], p_error) t;
        EXCEPTION WHEN OTHERS THEN
            IF NOT is_of_a_row(SQLSTATE) THEN
                RAISE;
            END IF;
            RETURN QUERY SELECT NULL::text, NULL::smallint, NULL::timestamptz, 0::bigint, 0::bigint, v_job, SQLERRM;
        END;
    END LOOP;
END
$$;

-- Q19: moves these workers, which the caller has locked, to a state; none removes them. If one of the rows cannot be written, each is
-- written by itself. A row per worker, with the reason if it could not be written.
CREATE FUNCTION {schema}.write_workers(p_workers uuid[], p_state text)
RETURNS TABLE (worker uuid, fault text)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_worker uuid;
BEGIN
    IF cardinality(p_workers) = 0 THEN
        RETURN;
    END IF;
    BEGIN
        IF p_state IS NULL THEN
            DELETE FROM workers w WHERE w.id = ANY (p_workers);
        ELSE
            UPDATE workers w SET state = p_state::worker_state WHERE w.id = ANY (p_workers);
        END IF;
        RETURN QUERY SELECT unnest(p_workers), NULL::text;
    EXCEPTION WHEN OTHERS THEN
        IF NOT is_of_a_row(SQLSTATE) THEN
            RAISE;
        END IF;
        IF cardinality(p_workers) = 1 THEN
            RETURN QUERY SELECT p_workers[1], SQLERRM;
        ELSE
            FOREACH v_worker IN ARRAY p_workers LOOP
                RETURN QUERY SELECT w.* FROM write_workers(ARRAY[v_worker], p_state) w;
            END LOOP;
        END IF;
    END;
END
$$;

-- Q3, Q7, Q11: gives up the workers that are expired, for good, and takes back up to p_limit leases: those of workers that
-- were given up, then those past their deadline. Leaves alone the jobs and workers that p_without names. Takes nothing if p_worker, who asks, is expired or gone itself.
--
-- The row of a worker is locked, and its expiry checked under the lock, before anything of it is touched: a heartbeat that
-- comes first saves it, and a claim of it that is under way has it passed over. The answer is a row for each level that has
-- ready jobs again, one for each job or worker that could not be written, and a last one with the counts.
CREATE FUNCTION {schema}.rescue(p_now timestamptz, p_worker uuid, p_limit integer, p_without uuid[])
RETURNS TABLE (
    queue text, priority smallint, run_at timestamptz, workers_lost bigint, rescued bigint, died bigint, passed_over uuid,
    is_worker boolean, fault text
)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_workers_lost bigint := 0;
    v_written record;
    v_lost uuid[];
    v_of_lost uuid[];
    v_overdue uuid[];
BEGIN
    IF p_worker IS NULL OR EXISTS (SELECT 1 FROM workers w WHERE w.id = p_worker AND w.state = 'live' AND w.expires_at > v_now) THEN
        IF EXISTS (SELECT 1 FROM workers w WHERE w.state IN ('live', 'lost') AND (w.state = 'lost' OR w.expires_at <= v_now)) THEN
            FOR v_written IN SELECT * FROM write_workers(ARRAY(
                SELECT e.id FROM workers e
                WHERE e.state IN ('live', 'lost') AND e.state = 'live' AND e.expires_at <= v_now AND e.id <> ALL (p_without)
                ORDER BY e.id
                FOR UPDATE SKIP LOCKED
            ), 'lost') LOOP
                IF v_written.fault IS NULL THEN
                    v_workers_lost := v_workers_lost + 1;
                ELSE
                    RETURN QUERY SELECT NULL::text, NULL::smallint, NULL::timestamptz, 0::bigint, 0::bigint, 0::bigint,
                        v_written.worker, true, v_written.fault;
                END IF;
            END LOOP;
            v_lost := ARRAY(
                SELECT w.id FROM workers w WHERE w.state IN ('live', 'lost') AND w.state = 'lost' ORDER BY w.id FOR UPDATE SKIP LOCKED
            );
        END IF;
        v_of_lost := ARRAY(
            SELECT l.id FROM live l WHERE l.state = 'running' AND l.worker = ANY (v_lost) AND l.id <> ALL (p_without)
            LIMIT p_limit FOR UPDATE SKIP LOCKED
        );
        v_overdue := ARRAY(
            SELECT lease.id FROM workers w
            CROSS JOIN LATERAL (
                SELECT l.id FROM live l WHERE l.state = 'running' AND l.worker = w.id AND l.deadline <= v_now
                    AND l.id <> ALL (p_without)
                LIMIT p_limit - cardinality(v_of_lost)
                FOR UPDATE SKIP LOCKED
            ) lease
            WHERE w.state IN ('live', 'lost') AND w.state = 'live'
            LIMIT p_limit - cardinality(v_of_lost)
        );
        RETURN QUERY
        SELECT t.queue, t.priority, t.run_at, 0::bigint, t.rescued, t.died, t.passed_over, false, t.fault
        FROM take_back_each(v_now, v_of_lost, 'the worker that ran the job was given up: it did not show in time that it lives') t;
        RETURN QUERY
        SELECT t.queue, t.priority, t.run_at, 0::bigint, t.rescued, t.died, t.passed_over, false, t.fault
        FROM take_back_each(v_now, v_overdue, 'the lease passed its deadline') t;
        RETURN QUERY
        SELECT NULL::text, NULL::smallint, NULL::timestamptz, 0::bigint, 0::bigint, 0::bigint, w.worker, true, w.fault
        FROM write_workers(ARRAY(
            SELECT e.id FROM unnest(v_lost) WITH ORDINALITY e (id, number)
            WHERE (SELECT l.id FROM live l WHERE l.state = 'running' AND l.worker = e.id LIMIT 1) IS NULL AND e.id <> ALL (p_without)
            ORDER BY e.number
        ), 'cleared') w
        WHERE w.fault IS NOT NULL;
    END IF;
    RETURN QUERY
    SELECT NULL::text, NULL::smallint, NULL::timestamptz, v_workers_lost, 0::bigint, 0::bigint, NULL::uuid, NULL::boolean, NULL::text;
END
$$;

-- Q8, Q16: removes up to p_limit finished jobs that ended longer ago than their state is kept and whose id is older than
-- p_window, and the rows of workers that are gone for a day.
--
-- Goes by id, which is by age, from p_after on; looks at p_looks jobs at the most, and at none that is younger than the
-- shortest time that jobs are kept (an id may lie ahead of its job by an hour at the most, or the job is kept for
-- longer). The answer is a row for each job or worker that could not be removed, and a last one with how many were, and where the
-- next piece begins; NULL is the beginning.
CREATE FUNCTION {schema}.prune(
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
        least_id(v_now - least(p_completed, p_cancelled, p_dead, '17000000 hours') + interval '1 hour')
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
        WHERE e.state IN ('cleared', 'retired') AND e.expires_at < v_now - interval '1 day' AND e.id <> ALL (p_without)
        ORDER BY e.id
        FOR UPDATE SKIP LOCKED
    ), NULL) w
    WHERE w.fault IS NOT NULL;

    WITH looked AS MATERIALIZED (
        SELECT o.id, o.finished_at < v_now - least('17000000 hours',
            CASE o.state WHEN 'completed' THEN p_completed WHEN 'cancelled' THEN p_cancelled ELSE p_dead END) AS is_old
        FROM outcomes o
        WHERE o.id > p_after AND o.id < v_end
        ORDER BY o.id
        LIMIT p_looks
    ), counted AS MATERIALIZED (
        SELECT id, is_old, count(*) FILTER (WHERE is_old) OVER (ORDER BY id) AS number FROM looked
    )
    SELECT array_agg(id) FILTER (WHERE is_old), max(number), count(*), (array_agg(id ORDER BY id DESC))[1]
    INTO v_old, v_old_seen, v_seen, v_last
    FROM counted WHERE number < p_limit OR number = p_limit AND is_old;

    -- Others may prune at the same time: each row is removed by one.
    v_old := ARRAY(SELECT o.id FROM outcomes o WHERE o.id = ANY (v_old) ORDER BY o.id FOR UPDATE SKIP LOCKED);
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
    SELECT v_pruned, CASE WHEN v_seen >= p_looks OR v_old_seen >= p_limit THEN v_last END, NULL::uuid, NULL::boolean, NULL::text;
END
$$;

-- Q8: removes finished jobs, which the caller has locked, with all that belongs to them.
CREATE FUNCTION {schema}.remove(p_jobs uuid[]) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    DELETE FROM attempt_errors e WHERE e.job = ANY (p_jobs);
    DELETE FROM outcomes o WHERE o.id = ANY (p_jobs);
    DELETE FROM jobs j WHERE j.id = ANY (p_jobs) AND (SELECT l.id FROM live l WHERE l.id = j.id) IS NULL;
END
$$;

-- Q7, Q8, Q11, Q14: the parts of upkeep in one transaction; one with a limit of zero is left out. A row for each level that has
-- ready jobs, a row for each job or worker of which a row could not be written, and a last one with the counts, where pruning goes on, and
-- when the next waiting job is due.
CREATE FUNCTION {schema}.maintain(
    p_now timestamptz,
    p_worker uuid,
    p_promote integer,
    p_rescue integer,
    p_prune integer,
    p_prune_looks integer,
    p_prune_after uuid,
    p_completed interval,
    p_cancelled interval,
    p_dead interval,
    p_window interval,
    p_without uuid[]
) RETURNS TABLE (
    queue text, priority smallint, run_at timestamptz, promoted bigint, workers_lost bigint, rescued bigint, died bigint,
    pruned bigint, next uuid, due_at timestamptz, now timestamptz, passed_over uuid, is_worker boolean, fault text
)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_queue text := '';
    v_promoted bigint := 0;
    v_part record;
    v_workers_lost bigint := 0;
    v_rescued bigint := 0;
    v_died bigint := 0;
    v_pruned bigint := 0;
    v_next uuid;
BEGIN
    WHILE v_promoted < p_promote LOOP
        SELECT l.queue INTO v_queue FROM live l
        WHERE l.state IN ('scheduled', 'retrying') AND l.queue > v_queue
        ORDER BY l.queue LIMIT 1;
        EXIT WHEN NOT FOUND;
        FOR v_part IN SELECT * FROM promote(v_now, v_queue, (p_promote - v_promoted)::integer, '-infinity', p_without) LOOP
            v_promoted := v_promoted + v_part.jobs;
            queue := CASE WHEN v_part.passed_over IS NULL THEN v_queue END;
            priority := v_part.priority;
            run_at := v_part.run_at;
            passed_over := v_part.passed_over;
            is_worker := false;
            fault := v_part.fault;
            RETURN NEXT;
        END LOOP;
    END LOOP;
    IF p_rescue > 0 THEN
        FOR v_part IN SELECT * FROM rescue(v_now, p_worker, p_rescue, p_without) LOOP
            v_workers_lost := v_workers_lost + v_part.workers_lost;
            v_rescued := v_rescued + v_part.rescued;
            v_died := v_died + v_part.died;
            IF v_part.queue IS NOT NULL OR v_part.passed_over IS NOT NULL THEN
                queue := v_part.queue;
                priority := v_part.priority;
                run_at := v_part.run_at;
                passed_over := v_part.passed_over;
                is_worker := v_part.is_worker;
                fault := v_part.fault;
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;
    IF p_prune > 0 THEN
        FOR v_part IN
            SELECT * FROM prune(v_now, p_prune_after, p_completed, p_cancelled, p_dead, p_window, p_prune, p_prune_looks, p_without)
        LOOP
            IF v_part.passed_over IS NULL THEN
                v_pruned := v_part.pruned;
                v_next := v_part.next;
            ELSE
                queue := NULL;
                passed_over := v_part.passed_over;
                is_worker := v_part.is_worker;
                fault := v_part.fault;
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;
    RETURN QUERY
    SELECT NULL::text, NULL::smallint, NULL::timestamptz, v_promoted, v_workers_lost, v_rescued, v_died, v_pruned, v_next,
        next_due(), v_now, NULL::uuid, NULL::boolean, NULL::text;
END
$$;
