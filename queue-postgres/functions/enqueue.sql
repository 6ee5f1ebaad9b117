-- Q2, Q6: enqueues a job from SQL: from a trigger, from psql, from a program in any language. The
-- job exists only if the transaction commits, and its workers are woken then. Returns the job's id.
--
--   SELECT {schema}.enqueue('send-email', '{"to": "ada"}');
--   SELECT {schema}.enqueue('send-email', '{"to": "ada"}', queue => 'mail', priority => 5,
--       run_at => now() + interval '1 hour');
--
-- Workers are woken by NOTIFY, which PostgreSQL refuses in a prepared transaction (two-phase
-- commit). To avoid NOTIFY, pass wake => false, or SET {wake_setting} = off. Workers then find the
-- job by polling, within 5 s. Nothing is sent if the server's queue of notifications is nearly
-- full, because the caller's COMMIT could fail.
--
-- The limits and defaults are those of the library: names of 1 to 128 bytes without white space and
-- control characters, and a payload of at most 1 MiB and 128 levels. This signature must not
-- change.
CREATE OR REPLACE FUNCTION {schema}.enqueue(
    kind text,
    payload json,
    queue text DEFAULT 'default',
    priority integer DEFAULT 0,
    run_at timestamptz DEFAULT NULL,
    max_retries integer DEFAULT 10,
    timeout interval DEFAULT '10 minutes',
    wake boolean DEFAULT true
) RETURNS uuid
LANGUAGE plpgsql {function_settings}
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_run_at timestamptz := coalesce(run_at, v_now);
    v_id uuid := new_id(v_now);
    v_micros numeric := extract(epoch FROM timeout) * 1000000;
    v_fault text;
    -- An escape string has the same meaning with each setting of standard_conforming_strings.
    v_blank CONSTANT text :=
        E'[\\u0001-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
BEGIN
    v_fault := CASE
        WHEN kind IS NULL OR octet_length(kind) NOT BETWEEN 1 AND 128
            THEN 'the kind is not 1 to 128 bytes long'
        WHEN kind ~ v_blank THEN 'the kind holds white space or a control character'
        WHEN queue IS NULL OR octet_length(queue) NOT BETWEEN 1 AND 128
            THEN 'the name of the queue is not 1 to 128 bytes long'
        WHEN queue ~ v_blank THEN 'the name of the queue holds white space or a control character'
        WHEN payload IS NULL THEN 'there is no payload'
        WHEN octet_length(payload::text) > 1048576 THEN 'the payload is larger than 1 MiB'
        WHEN json_depth(payload::text) > 128 THEN 'the payload is nested deeper than 128 levels'
        WHEN priority IS NULL OR priority NOT BETWEEN -32768 AND 32767
            THEN 'the priority is not between -32768 and 32767'
        WHEN v_run_at NOT BETWEEN '1970-01-01 00:00Z' AND '9999-12-31 23:59:59.999999Z'
            THEN 'the time to run is not between 1970 and 9999'
        WHEN max_retries IS NULL OR max_retries NOT BETWEEN 0 AND 65535
            THEN 'the retries are not between 0 and 65535'
        WHEN v_micros IS NULL THEN 'there is no timeout'
        WHEN v_micros < 0 THEN 'the timeout is negative'
        WHEN v_micros > 3.15576e18 THEN 'the timeout is longer than 100,000 years'
    END;
    IF v_fault IS NOT NULL THEN
        RAISE EXCEPTION 'failed to enqueue a job: %', v_fault
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM insert_jobs(
        v_now, ARRAY[v_id], ARRAY[kind], ARRAY[queue], ARRAY[priority::smallint], ARRAY[v_run_at],
        ARRAY[max_retries],
        -- Only seconds, because the length of a month or a day is ambiguous.
        ARRAY[make_interval(secs => v_micros / 1000000.0)], ARRAY[NULL::interval],
        ARRAY[NULL::interval], ARRAY[NULL::smallint], ARRAY[payload::text]
    );
    IF coalesce(wake, true) THEN
        PERFORM notify_ready(queue, priority::smallint, run_at, v_now);
    END IF;
    RETURN v_id;
END
$$;

-- Returns the nesting depth of arrays and objects in a JSON text.
CREATE OR REPLACE FUNCTION {schema}.json_depth(json_text text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    v_brackets text;
BEGIN
    -- The usual case, and fast: the text has at most this many opening brackets.
    IF length(json_text) - length(translate(json_text, '[{', '')) <= 128 THEN
        RETURN length(json_text) - length(translate(json_text, '[{', ''));
    END IF;
    v_brackets := regexp_replace(regexp_replace(json_text, E'"(\\\\.|[^"\\\\])*"', '', 'g'),
        '[^][}{]', '', 'g');
    RETURN (
        SELECT coalesce(max(open), 0)::integer FROM (
            SELECT sum(CASE WHEN bracket IN ('[', '{') THEN 1 ELSE -1 END)
                OVER (ORDER BY place) AS open
            FROM regexp_split_to_table(v_brackets, '') WITH ORDINALITY AS s (bracket, place)
        ) running
    );
END
$$;

-- Q6: notifies the workers of a level when the transaction commits. p_run_at is the time that the
-- caller gave; NULL means the time of the insert.
--
-- All jobs of a level that one transaction inserts have the same text, so that PostgreSQL sends one
-- notification. The time until a job is due is rounded down to a power of two of a second. Jobs of
-- many times therefore need few notifications. A worker that claims early receives the exact time.
CREATE OR REPLACE FUNCTION {schema}.notify_ready(p_queue text, p_priority smallint,
    p_run_at timestamptz, p_now timestamptz) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
DECLARE
    v_due_in double precision := extract(epoch FROM coalesce(p_run_at, p_now) - p_now);
BEGIN
    PERFORM notify_from_sql(json_build_object('ready', json_build_array(json_build_array(
        p_queue, p_priority,
        (extract(
            epoch FROM CASE WHEN p_run_at <= p_now THEN p_run_at ELSE least(p_run_at, now()) END
        ) * 1000000)::bigint,
        CASE WHEN v_due_in > 1 THEN (power(2, floor(ln(v_due_in) / ln(2))) * 1000000)::bigint
            ELSE 0 END
    ))));
END
$$;

-- Q6: notifies other processes when the transaction of the caller commits, unless the caller has
-- switched that off, or a full queue of notifications would make its commit fail.
CREATE OR REPLACE FUNCTION {schema}.notify_from_sql(p_message json) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    IF coalesce(nullif(current_setting('{wake_setting}', true), ''), 'on')::boolean
        AND pg_notification_queue_usage() <= 0.5
    THEN
        PERFORM pg_notify({channel}, p_message::text);
    END IF;
END
$$;
