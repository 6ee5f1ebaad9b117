-- Q4, Q10: ends leases. A settlement takes effect only under the claim that holds the job. The
-- statement that completes a job also stores its result. Verdicts: complete, retry, bury, snooze,
-- cancel, release; NULL means complete for all jobs.
--
-- Returns one row per unfinished job with its state and the place of its settlement in the list,
-- and one per watched job that has ended, in which `ends` is NULL. If any settlement changed
-- nothing, also returns one row per settlement. That has the state in which its claim finished the
-- job (NULL: the lease was lost).
CREATE OR REPLACE FUNCTION {schema}.settle(
    p_now timestamptz,
    p_jobs uuid[],
    p_claims uuid[],
    p_results bytea[],
    p_verdicts text[],
    p_delays interval[],
    p_texts text[],
    p_durations interval[]
) RETURNS TABLE (place bigint, ends boolean, state text, queue text, priority smallint,
    run_at timestamptz, now timestamptz)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_ended bigint;
    v_moved bigint := 0;
    v_tied uuid[];
    v_watched uuid[];
BEGIN
    IF p_verdicts IS NULL THEN
        WITH ended AS (
            DELETE FROM live l
            USING unnest(p_jobs, p_claims, p_results) AS s (job, claim, result)
            WHERE l.id = ANY (p_jobs) AND l.id = s.job AND l.claim = s.claim
            RETURNING l.id, l.claim, l.attempt, l.ties, s.result
        ), stored AS (
            INSERT INTO outcomes (id, finished_at, claim, attempt, state, result)
            SELECT id, v_now, claim, attempt, 'completed', result FROM ended
        )
        SELECT count(*), array_agg(id) FILTER (WHERE ties & 1 = 1),
            array_agg(id) FILTER (WHERE ties & 2 = 2)
        INTO v_ended, v_tied, v_watched
        FROM ended;
    ELSE
        -- Takes all locks in the order of the ids. Otherwise the statements below take them in two
        -- passes, which could deadlock with a cancel of the same jobs.
        PERFORM 1 FROM live l WHERE l.id = ANY (p_jobs) ORDER BY l.id FOR UPDATE;

        WITH settlement AS MATERIALIZED (
            SELECT *
            FROM unnest(p_jobs, p_claims, p_results, p_verdicts, p_delays, p_texts, p_durations)
                WITH ORDINALITY AS s (job, claim, result, verdict, delay, text, duration, place)
        ), ended AS (
            DELETE FROM live l
            USING settlement s
            WHERE l.id = ANY (p_jobs) AND l.id = s.job AND l.claim = s.claim
                AND (s.verdict IN ('complete', 'bury', 'cancel') 
                    OR s.verdict = 'retry' AND l.attempt > l.max_retries)
            RETURNING l.id, l.claim, l.attempt, l.worker, l.ties, s.verdict, s.result, s.text,
                s.duration
        ), failed AS (
            INSERT INTO attempt_errors (job, at, duration, worker, attempt, error)
            SELECT id, v_now, duration, worker, attempt, text FROM ended
            WHERE verdict IN ('bury', 'retry')
            ON CONFLICT (job, attempt) DO UPDATE SET at = excluded.at,
                duration = excluded.duration, worker = excluded.worker, error = excluded.error
        ), stored AS (
            INSERT INTO outcomes (id, finished_at, claim, attempt, state, error, result)
            SELECT id, v_now, claim, attempt,
                CASE verdict WHEN 'complete' THEN 'completed' WHEN 'cancel' THEN 'cancelled'
                    ELSE 'dead' END::job_state,
                text, result
            FROM ended
        )
        SELECT count(*), array_agg(id) FILTER (WHERE ties & 1 = 1),
            array_agg(id) FILTER (WHERE ties & 2 = 2)
        INTO v_ended, v_tied, v_watched
        FROM ended;

        RETURN QUERY
        WITH settlement AS MATERIALIZED (
            SELECT s.*, v_now + least(s.delay, '70000000 hours') AS delayed
            FROM unnest(p_jobs, p_claims, p_verdicts, p_delays, p_texts, p_durations)
                WITH ORDINALITY AS s (job, claim, verdict, delay, text, duration, place)
        ), moved AS (
            UPDATE live l
            SET state = CASE
                    WHEN s.verdict = 'retry' THEN 'retrying'
                    WHEN s.verdict = 'snooze' AND s.delay > '0' THEN 'scheduled'
                    ELSE 'ready'
                END::job_state,
                run_at = CASE WHEN s.verdict = 'release' THEN l.run_at
                    ELSE least(s.delayed, '9999-12-31 23:59:59.999999Z') END,
                attempt = CASE WHEN s.verdict = 'retry' THEN l.attempt ELSE l.attempt - 1 END,
                claim = NULL, worker = NULL, deadline = NULL, progress_done = NULL,
                progress_total = NULL
            FROM settlement s
            WHERE l.id = ANY (p_jobs) AND l.id = s.job AND l.claim = s.claim
                AND (s.verdict IN ('snooze', 'release') 
                    OR s.verdict = 'retry' AND l.attempt <= l.max_retries)
            RETURNING s.place, s.verdict, s.text, s.duration, l.id, l.attempt, l.state, l.queue,
                l.priority, l.run_at
        ), failed AS (
            -- The parts of a statement read the rows as they were before it, so that the worker of
            -- the lease is still there.
            INSERT INTO attempt_errors (job, at, duration, worker, attempt, error)
            SELECT m.id, v_now, m.duration, (SELECT l.worker FROM live l WHERE l.id = m.id),
                m.attempt, m.text
            FROM moved m WHERE m.verdict = 'retry'
            ON CONFLICT (job, attempt) DO UPDATE SET at = excluded.at,
                duration = excluded.duration, worker = excluded.worker, error = excluded.error
        )
        SELECT moved.place, false, moved.state::text, moved.queue, moved.priority, moved.run_at,
            v_now
        FROM moved;
        GET DIAGNOSTICS v_moved = ROW_COUNT;
    END IF;

    IF v_tied IS NOT NULL THEN
        PERFORM release_keys(v_now, v_tied);
    END IF;
    IF v_watched IS NOT NULL THEN
        RETURN QUERY
        SELECT s.place, NULL::boolean, NULL::text, NULL::text, NULL::smallint, NULL::timestamptz,
            v_now
        FROM unnest(p_jobs) WITH ORDINALITY AS s (job, place)
        JOIN unnest(v_watched) AS w (job) ON w.job = s.job;
    END IF;

    IF v_ended + v_moved < cardinality(p_jobs) THEN
        RETURN QUERY
        SELECT s.place, true, o.state::text, NULL::text, NULL::smallint, NULL::timestamptz, v_now
        FROM unnest(p_jobs, p_claims) WITH ORDINALITY AS s (job, claim, place)
        LEFT JOIN outcomes o ON o.id = ANY (p_jobs) AND o.id = s.job AND o.claim = s.claim;
    END IF;
END
$$;
