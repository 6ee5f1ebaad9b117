-- Q3, Q7, Q11: marks expired workers as lost, which is final, and takes back up to p_limit leases:
-- first those of lost workers, then those past their deadline. Skips the jobs and workers in
-- p_without. Does nothing if p_worker, the calling worker, is expired, lost or retired.
--
-- Locks the row of a worker and checks its expiry under the lock before it changes any of its jobs.
-- An earlier heartbeat therefore saves the worker. While a claim of the worker runs, the worker is
-- skipped. Returns: one row per level with newly ready jobs; one row per watched job that is dead;
-- one row per job or worker that could not be written; a last row with the counts.
CREATE OR REPLACE FUNCTION {schema}.rescue(p_now timestamptz, p_worker uuid, p_limit integer,
    p_without uuid[])
RETURNS TABLE (
    queue text, priority smallint, run_at timestamptz, workers_lost bigint, rescued bigint,
    died bigint, finished uuid, passed_over uuid, is_worker boolean, fault text
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
    IF p_worker IS NULL OR EXISTS (SELECT 1 FROM workers w
        WHERE w.id = p_worker AND w.state = 'live' AND w.expires_at > v_now) THEN
        IF EXISTS (SELECT 1 FROM workers w
            WHERE w.state IN ('live', 'lost') AND (w.state = 'lost' OR w.expires_at <= v_now)) THEN
            FOR v_written IN SELECT * FROM write_workers(ARRAY(
                SELECT e.id FROM workers e
                WHERE e.state IN ('live', 'lost') AND e.state = 'live' AND e.expires_at <= v_now
                    AND e.id <> ALL (p_without)
                ORDER BY e.id
                FOR UPDATE SKIP LOCKED
            ), 'lost') LOOP
                IF v_written.fault IS NULL THEN
                    v_workers_lost := v_workers_lost + 1;
                ELSE
                    RETURN QUERY SELECT NULL::text, NULL::smallint, NULL::timestamptz, 0::bigint,
                        0::bigint, 0::bigint, NULL::uuid, v_written.worker, true, v_written.fault;
                END IF;
            END LOOP;
            v_lost := ARRAY(
                SELECT w.id FROM workers w WHERE w.state IN ('live', 'lost') AND w.state = 'lost'
                ORDER BY w.id FOR UPDATE SKIP LOCKED
            );
        END IF;
        v_of_lost := ARRAY(
            SELECT l.id FROM live l
            WHERE l.state = 'running' AND l.worker = ANY (v_lost) AND l.id <> ALL (p_without)
            LIMIT p_limit FOR UPDATE SKIP LOCKED
        );
        v_overdue := ARRAY(
            SELECT lease.id FROM workers w
            CROSS JOIN LATERAL (
                SELECT l.id FROM live l
                WHERE l.state = 'running' AND l.worker = w.id AND l.deadline <= v_now
                    AND l.id <> ALL (p_without)
                LIMIT p_limit - cardinality(v_of_lost)
                FOR UPDATE SKIP LOCKED
            ) lease
            WHERE w.state IN ('live', 'lost') AND w.state = 'live'
            LIMIT p_limit - cardinality(v_of_lost)
        );
        RETURN QUERY
        SELECT t.queue, t.priority, t.run_at, 0::bigint, t.rescued, t.died, t.finished,
            t.passed_over, false, t.fault
        FROM take_back_each(v_now, v_of_lost, {worker_lost_error}) t;
        RETURN QUERY
        SELECT t.queue, t.priority, t.run_at, 0::bigint, t.rescued, t.died, t.finished,
            t.passed_over, false, t.fault
        FROM take_back_each(v_now, v_overdue, {deadline_passed_error}) t;
        RETURN QUERY
        SELECT NULL::text, NULL::smallint, NULL::timestamptz, 0::bigint, 0::bigint, 0::bigint,
            NULL::uuid, w.worker, true, w.fault
        FROM write_workers(ARRAY(
            SELECT e.id FROM unnest(v_lost) WITH ORDINALITY e (id, number)
            WHERE (
                SELECT l.id FROM live l WHERE l.state = 'running' AND l.worker = e.id LIMIT 1
            ) IS NULL AND e.id <> ALL (p_without)
            ORDER BY e.number
        ), 'cleared') w
        WHERE w.fault IS NOT NULL;
    END IF;
    RETURN QUERY
    SELECT NULL::text, NULL::smallint, NULL::timestamptz, v_workers_lost, 0::bigint, 0::bigint,
        NULL::uuid, NULL::uuid, NULL::boolean, NULL::text;
END
$$;

-- Q19: like take_back. If the row of a job cannot be written, takes back each job separately, and
-- returns those that cannot be written with the cause.
CREATE OR REPLACE FUNCTION {schema}.take_back_each(p_now timestamptz, p_jobs uuid[], p_error text)
RETURNS TABLE (queue text, priority smallint, run_at timestamptz, rescued bigint, died bigint,
    finished uuid, passed_over uuid, fault text)
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
            RETURN QUERY SELECT t.*, NULL::uuid, NULL::text
                FROM take_back(p_now, ARRAY[v_job], p_error) t;
        EXCEPTION WHEN OTHERS THEN
            IF NOT is_of_a_row(SQLSTATE) THEN
                RAISE;
            END IF;
            RETURN QUERY SELECT NULL::text, NULL::smallint, NULL::timestamptz, 0::bigint, 0::bigint,
                NULL::uuid, v_job, SQLERRM;
        END;
    END LOOP;
END
$$;

-- Q7, Q11: takes back these leases, which the caller has locked. A job with attempts left is ready
-- again with its run_at unchanged; any other is dead. No claim is kept, because the lost one did
-- not finish the job: its settle must return that the lease is lost. Returns one row per level with
-- newly ready jobs, one per watched job that is dead, and a last row with the number of dead jobs.
CREATE OR REPLACE FUNCTION {schema}.take_back(p_now timestamptz, p_jobs uuid[], p_error text)
RETURNS TABLE (queue text, priority smallint, run_at timestamptz, rescued bigint, died bigint,
    finished uuid)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_died bigint;
    v_tied uuid[];
    v_watched uuid[];
BEGIN
    WITH ended AS (
        DELETE FROM live l WHERE l.id = ANY (p_jobs) AND l.attempt > l.max_retries
            RETURNING l.id, l.attempt, l.worker, l.ties
    ), failed AS (
        INSERT INTO attempt_errors (job, at, worker, attempt, error)
        SELECT id, p_now, worker, attempt, p_error FROM ended
        ON CONFLICT (job, attempt) DO UPDATE SET at = excluded.at, duration = NULL,
            worker = excluded.worker, error = excluded.error
    ), stored AS (
        INSERT INTO outcomes (id, finished_at, attempt, state, error)
        SELECT id, p_now, attempt, 'dead', p_error FROM ended
    )
    SELECT count(*), array_agg(id) FILTER (WHERE ties & 1 = 1),
        array_agg(id) FILTER (WHERE ties & 2 = 2)
    INTO v_died, v_tied, v_watched FROM ended;
    IF v_tied IS NOT NULL THEN
        PERFORM release_keys(p_now, v_tied);
    END IF;
    IF v_watched IS NOT NULL THEN
        RETURN QUERY
        SELECT NULL::text, NULL::smallint, NULL::timestamptz, 0::bigint, 0::bigint, w.job
        FROM unnest(v_watched) AS w (job);
    END IF;

    RETURN QUERY
    WITH moved AS (
        UPDATE live l
        SET state = 'ready', claim = NULL, worker = NULL, deadline = NULL, progress_done = NULL,
            progress_total = NULL
        WHERE l.id = ANY (p_jobs)
        RETURNING l.id, l.attempt, l.queue, l.priority, l.run_at
    ), failed AS (
        -- Reads the rows as they were before this statement, with the workers of the leases.
        INSERT INTO attempt_errors (job, at, worker, attempt, error)
        SELECT m.id, p_now, (SELECT l.worker FROM live l WHERE l.id = m.id), m.attempt, p_error
        FROM moved m
        ON CONFLICT (job, attempt) DO UPDATE SET at = excluded.at, duration = NULL,
            worker = excluded.worker, error = excluded.error
    )
    SELECT moved.queue, moved.priority, min(moved.run_at), count(*), 0::bigint, NULL::uuid
    FROM moved
    GROUP BY moved.queue, moved.priority;

    RETURN QUERY
    SELECT NULL::text, NULL::smallint, NULL::timestamptz, 0::bigint, v_died, NULL::uuid;
END
$$;
