-- Q4, Q6, Q10: ends leases like settle, and inserts the follow-ups of those that were held, in the
-- same transaction. p_parents has the place of its job in the list for each follow-up. An
-- existing id fails the call with a unique violation.
--
-- Inserts after the jobs have ended, because a follow-up may take the unique key of its job.
-- Returns the rows of settle, and one row like those of unfinished jobs per level with new
-- follow-ups.
CREATE OR REPLACE FUNCTION {schema}.settle_and_insert(
    p_now timestamptz,
    p_jobs uuid[],
    p_claims uuid[],
    p_results bytea[],
    p_verdicts text[],
    p_delays interval[],
    p_texts text[],
    p_durations interval[],
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
) RETURNS TABLE (place bigint, ends boolean, state text, queue text, priority smallint,
    run_at timestamptz, now timestamptz)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_held bigint[];
    v_duplicates uuid[];
BEGIN
    -- Takes the locks of jobs in the order of the ids, as settle does. Unique keys that jobs
    -- release and follow-ups take have no such order: if two calls swap keys, one fails and is
    -- repeated.
    v_held := array_remove(ARRAY(
        SELECT CASE WHEN l.claim = s.claim THEN s.place END
        FROM live l
        JOIN unnest(p_jobs, p_claims) WITH ORDINALITY AS s (job, claim, place) ON l.id = s.job
        WHERE l.id = ANY (p_jobs)
        ORDER BY l.id
        FOR UPDATE OF l
    ), NULL);
    RETURN QUERY
    SELECT * FROM settle(
        v_now, p_jobs, p_claims, p_results, p_verdicts, p_delays, p_texts, p_durations
    );
    IF NOT p_parents && v_held THEN
        RETURN;
    END IF;
    v_duplicates := ARRAY(
        SELECT i.job
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
            WHERE n.parent = ANY (v_held)
        ) a
        CROSS JOIN LATERAL insert_unique_jobs(
            v_now, a.ids, a.kinds, a.queues, a.priorities, a.run_ats, a.max_retries, a.timeouts,
            a.bases, a.caps, a.jitters, a.payloads, a.more
        ) i
        WHERE i.job IS NOT NULL
    );
    RETURN QUERY
    SELECT min(n.parent), false,
        CASE WHEN coalesce(n.run_at, v_now) <= v_now THEN 'ready' ELSE 'scheduled' END,
        n.queue, n.priority, min(coalesce(n.run_at, v_now)), v_now
    FROM unnest(p_parents, p_ids, p_queues, p_priorities, p_run_ats)
        AS n (parent, id, queue, priority, run_at)
    WHERE n.parent = ANY (v_held) AND n.id <> ALL (v_duplicates)
    GROUP BY n.queue, n.priority, coalesce(n.run_at, v_now) <= v_now;
END
$$;
