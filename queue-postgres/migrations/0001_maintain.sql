-- Q3, Q7, Q11: gives up the workers that are expired, for good, and takes back up to p_limit leases: those of workers that
-- were given up, then those past their deadline. Takes nothing if p_worker, who asks, is expired or gone itself.
--
-- The row of a worker is locked, and its expiry checked under the lock, before anything of it is touched: a heartbeat that
-- comes first saves it, and a claim of it that is under way has it passed over. The answer is a row for each level that has
-- ready jobs again, and a last one with the counts.
CREATE FUNCTION {schema}.rescue(p_now timestamptz, p_worker uuid, p_limit integer)
RETURNS TABLE (queue text, priority smallint, run_at timestamptz, workers_lost bigint, rescued bigint, died bigint)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_workers_lost bigint := 0;
    v_lost uuid[];
    v_of_lost uuid[];
    v_overdue uuid[];
    v_died bigint := 0;
    v_rescued bigint := 0;
BEGIN
    IF p_worker IS NULL OR EXISTS (SELECT 1 FROM workers w WHERE w.id = p_worker AND w.state = 'live' AND w.expires_at > v_now) THEN
        IF EXISTS (SELECT 1 FROM workers w WHERE w.state IN ('live', 'lost') AND (w.state = 'lost' OR w.expires_at <= v_now)) THEN
            UPDATE workers w SET state = 'lost'
            WHERE w.id = ANY (ARRAY(
                SELECT e.id FROM workers e
                WHERE e.state IN ('live', 'lost') AND e.state = 'live' AND e.expires_at <= v_now
                ORDER BY e.id
                FOR UPDATE SKIP LOCKED
            ));
            GET DIAGNOSTICS v_workers_lost = ROW_COUNT;
            v_lost := ARRAY(
                SELECT w.id FROM workers w WHERE w.state IN ('live', 'lost') AND w.state = 'lost' ORDER BY w.id FOR UPDATE SKIP LOCKED
            );
        END IF;
        v_of_lost := ARRAY(
            SELECT l.id FROM live l WHERE l.state = 'running' AND l.worker = ANY (v_lost)
            LIMIT p_limit FOR UPDATE SKIP LOCKED
        );
        v_overdue := ARRAY(
            SELECT lease.id FROM workers w
            CROSS JOIN LATERAL (
                SELECT l.id FROM live l WHERE l.state = 'running' AND l.worker = w.id AND l.deadline <= v_now
                LIMIT p_limit - cardinality(v_of_lost)
                FOR UPDATE SKIP LOCKED
            ) lease
            WHERE w.state IN ('live', 'lost') AND w.state = 'live'
            LIMIT p_limit - cardinality(v_of_lost)
        );
        IF cardinality(v_of_lost) + cardinality(v_overdue) > 0 THEN
            -- No claim: the one that is lost did not end the job, and must not be told that it did.
            WITH ended AS (
                DELETE FROM live l WHERE l.id = ANY (v_of_lost || v_overdue) AND l.attempt > l.max_retries
                RETURNING l.id, l.attempt,
                    CASE WHEN l.id = ANY (v_overdue) THEN 'the lease passed its deadline'
                        ELSE 'the worker that ran the job was given up: it did not show in time that it lives' END AS error
            ), failed AS (
                INSERT INTO attempt_errors (job, at, attempt, error) SELECT id, v_now, attempt, error FROM ended
            )
            INSERT INTO outcomes (id, finished_at, attempt, state, error)
            SELECT id, v_now, attempt, 'dead', error FROM ended;
            GET DIAGNOSTICS v_died = ROW_COUNT;

            RETURN QUERY
            WITH moved AS (
                UPDATE live l
                SET state = 'ready', claim = NULL, worker = NULL, deadline = NULL, progress_done = NULL, progress_total = NULL
                WHERE l.id = ANY (v_of_lost || v_overdue)
                RETURNING l.id, l.attempt, l.queue, l.priority, l.run_at,
                    CASE WHEN l.id = ANY (v_overdue) THEN 'the lease passed its deadline'
                        ELSE 'the worker that ran the job was given up: it did not show in time that it lives' END AS error
            ), failed AS (
                INSERT INTO attempt_errors (job, at, attempt, error) SELECT id, v_now, attempt, error FROM moved
            )
            SELECT moved.queue, moved.priority, min(moved.run_at), 0::bigint, count(*), 0::bigint
            FROM moved GROUP BY moved.queue, moved.priority;
        END IF;
        UPDATE workers w SET state = 'cleared'
        WHERE w.id = ANY (v_lost) AND (SELECT l.id FROM live l WHERE l.state = 'running' AND l.worker = w.id LIMIT 1) IS NULL;
    END IF;
    RETURN QUERY SELECT NULL::text, NULL::smallint, NULL::timestamptz, v_workers_lost, 0::bigint, v_died;
END
$$;

-- Q8, Q16: removes up to p_limit finished jobs that ended longer ago than their state is kept and whose id is older than
-- p_window, and the rows of workers that are gone for a day.
--
-- Goes by id, which is by age, from p_after on; looks at p_looks jobs at the most, and at none that is younger than the
-- shortest time that jobs are kept (an id may lie ahead of its job by an hour at the most, or the job is kept for
-- longer). The answer is how many were removed, and where the next piece begins; NULL is the beginning.
CREATE FUNCTION {schema}.prune(
    p_now timestamptz,
    p_after uuid,
    p_completed interval,
    p_cancelled interval,
    p_dead interval,
    p_window interval,
    p_limit integer,
    p_looks integer
) RETURNS TABLE (pruned bigint, next uuid)
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
BEGIN
    DELETE FROM workers w WHERE w.state IN ('cleared', 'retired') AND w.expires_at < v_now - interval '1 day';

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
    DELETE FROM attempt_errors e WHERE e.job = ANY (v_old);
    DELETE FROM outcomes o WHERE o.id = ANY (v_old);
    DELETE FROM jobs j WHERE j.id = ANY (v_old) AND (SELECT l.id FROM live l WHERE l.id = j.id) IS NULL;
    RETURN QUERY
    SELECT cardinality(v_old)::bigint, CASE WHEN v_seen >= p_looks OR v_old_seen >= p_limit THEN v_last END;
END
$$;

-- Q7, Q8, Q11, Q14: the parts of upkeep in one transaction; one with a limit of zero is left out. A row for each level that has
-- ready jobs, and a last one with the counts, where pruning goes on, and when the next waiting job is due.
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
    p_window interval
) RETURNS TABLE (
    queue text, priority smallint, run_at timestamptz, promoted bigint, workers_lost bigint, rescued bigint, died bigint,
    pruned bigint, next uuid, due_at timestamptz, now timestamptz
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
        FOR v_part IN SELECT * FROM promote(v_now, v_queue, (p_promote - v_promoted)::integer, '-infinity') LOOP
            v_promoted := v_promoted + v_part.jobs;
            queue := v_queue;
            priority := v_part.priority;
            run_at := v_part.run_at;
            RETURN NEXT;
        END LOOP;
    END LOOP;
    IF p_rescue > 0 THEN
        FOR v_part IN SELECT * FROM rescue(v_now, p_worker, p_rescue) LOOP
            v_workers_lost := v_workers_lost + v_part.workers_lost;
            v_rescued := v_rescued + v_part.rescued;
            v_died := v_died + v_part.died;
            IF v_part.queue IS NOT NULL THEN
                queue := v_part.queue;
                priority := v_part.priority;
                run_at := v_part.run_at;
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;
    IF p_prune > 0 THEN
        SELECT p.pruned, p.next INTO v_pruned, v_next
        FROM prune(v_now, p_prune_after, p_completed, p_cancelled, p_dead, p_window, p_prune, p_prune_looks) p;
    END IF;
    RETURN QUERY
    SELECT NULL::text, NULL::smallint, NULL::timestamptz, v_promoted, v_workers_lost, v_rescued, v_died, v_pruned, v_next,
        next_due(), v_now;
END
$$;
