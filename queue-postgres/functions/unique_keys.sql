-- Q15: inserts jobs like insert_jobs, except those whose unique key another job holds. Returns one
-- row per such job with the holder of its key, and a last row with the time of the insert.
--
-- Each key is inserted, and read only after that failed. A check before the insert would not see
-- the key of a concurrent transaction. The insert waits for that transaction instead. It takes no
-- lock on a key that is held, because otherwise the settle of the holder would wait for a long
-- transaction that only asked. Keys are taken in their order, so that two batches do not deadlock.
CREATE OR REPLACE FUNCTION {schema}.insert_unique_jobs(
    p_now timestamptz,
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
) RETURNS TABLE (job uuid, holder uuid, at timestamptz)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_new record;
    v_duplicates uuid[] := '{}';
BEGIN
    FOR v_new IN
        SELECT n.id, n.kind, n.more::json ->> 'unique_key' AS key
        FROM unnest(p_ids, p_kinds, p_more) WITH ORDINALITY AS n (id, kind, more, place)
        WHERE n.more::json ->> 'unique_key' IS NOT NULL
        ORDER BY n.kind COLLATE "C", n.more::json ->> 'unique_key' COLLATE "C", n.place
    LOOP
        holder := hold_key(v_now, v_new.kind, v_new.key, v_new.id);
        -- A job that is stored is refused by its id, because it is known or a conflict. A kept key
        -- is held even against its own job, which was pruned.
        IF holder IS NOT NULL AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = v_new.id) THEN
            job := v_new.id;
            v_duplicates := v_duplicates || job;
            RETURN NEXT;
        END IF;
    END LOOP;
    IF cardinality(v_duplicates) = 0 THEN
        PERFORM insert_jobs(
            v_now, p_ids, p_kinds, p_queues, p_priorities, p_run_ats, p_max_retries, p_timeouts,
            p_backoff_bases, p_backoff_caps, p_backoff_jitters, p_payloads, p_more
        );
    ELSIF cardinality(v_duplicates) < cardinality(p_ids) THEN
        PERFORM insert_jobs(
            v_now, array_agg(n.id), array_agg(n.kind), array_agg(n.queue), array_agg(n.priority),
            array_agg(n.run_at), array_agg(n.max_retries), array_agg(n.timeout),
            array_agg(n.backoff_base), array_agg(n.backoff_cap), array_agg(n.backoff_jitter),
            array_agg(n.payload), array_agg(n.more)
        )
        FROM unnest(
            p_ids, p_kinds, p_queues, p_priorities, p_run_ats, p_max_retries, p_timeouts,
            p_backoff_bases, p_backoff_caps, p_backoff_jitters, p_payloads, p_more
        ) AS n (
            id, kind, queue, priority, run_at, max_retries, timeout, backoff_base, backoff_cap,
            backoff_jitter, payload, more
        )
        WHERE n.id <> ALL (v_duplicates);
    END IF;
    RETURN QUERY SELECT NULL::uuid, NULL::uuid, v_now;
END
$$;

-- Q15: gives a key to a job if no job holds it. Returns NULL, or the job that held it before.
CREATE OR REPLACE FUNCTION {schema}.hold_key(p_now timestamptz, p_kind text, p_key text, p_job uuid)
RETURNS uuid
LANGUAGE plpgsql
AS $$
DECLARE
    v_holder uuid;
    v_until timestamptz;
BEGIN
    LOOP
        INSERT INTO unique_keys (kind, key, job) VALUES (p_kind, p_key, p_job)
        ON CONFLICT (kind, key) DO NOTHING;
        IF FOUND THEN
            RETURN NULL;
        END IF;
        SELECT u.job, u.until INTO v_holder, v_until FROM unique_keys u
        WHERE u.kind = p_kind AND u.key = p_key;
        IF v_until <= p_now THEN
            DELETE FROM unique_keys u
            WHERE u.kind = p_kind AND u.key = p_key AND u.until <= p_now;
        ELSIF v_holder IS NOT NULL THEN
            RETURN v_holder;
        END IF;
        -- The key was released in the meantime.
    END LOOP;
END
$$;

-- Q15: releases the keys of jobs that were finished in this transaction. A completed job may keep
-- its key for some time.
CREATE OR REPLACE FUNCTION {schema}.release_keys(p_now timestamptz, p_jobs uuid[]) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
DECLARE
    v_job record;
BEGIN
    FOR v_job IN
        SELECT j.id, j.kind, j.unique_key, o.state, j.unique_keep
        FROM jobs j JOIN outcomes o ON o.id = ANY (p_jobs) AND o.id = j.id
        WHERE j.id = ANY (p_jobs) AND j.unique_key IS NOT NULL
    LOOP
        IF v_job.state = 'completed' AND v_job.unique_keep > '0' THEN
            UPDATE unique_keys u
            SET until = least(
                p_now + least(v_job.unique_keep, '70000000 hours'), '9999-12-31 23:59:59.999999Z'
            )
            WHERE u.kind = v_job.kind AND u.key = v_job.unique_key AND u.job = v_job.id;
        ELSE
            DELETE FROM unique_keys u
            WHERE u.kind = v_job.kind AND u.key = v_job.unique_key AND u.job = v_job.id;
        END IF;
    END LOOP;
END
$$;
