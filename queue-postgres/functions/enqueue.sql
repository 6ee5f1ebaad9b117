-- Q2, Q6: enqueues a job from SQL: by a trigger, by psql, by a program in any language. It is there exactly if the
-- transaction commits, and its workers are told then. Answers its id.
--
--   SELECT {schema}.enqueue('send-email', '{"to": "ada"}');
--   SELECT {schema}.enqueue('send-email', '{"to": "ada"}', queue => 'mail', priority => 5, run_at => now() + interval '1 hour');
--
-- Workers are told by NOTIFY, which PostgreSQL refuses in a transaction that is prepared (two-phase commit). There, and wherever
-- else NOTIFY is not wanted, pass wake => false, or SET {wake_setting} = off: workers then find the job by themselves, 5 s
-- later at the latest. A queue of notifications that is nearly full would fail the caller's COMMIT, so nothing is sent then.
--
-- The limits and defaults are those of the library: names of 1 to 128 bytes without white space and control
-- characters, a payload of 1 MiB and 128 levels at the most. This interface stays as it is.
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
    v_due_in double precision;
    -- Escaped so that it means the same whatever the session says of backslashes.
    v_blank CONSTANT text := E'[\\u0001-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
BEGIN
    v_fault := CASE
        WHEN kind IS NULL OR octet_length(kind) NOT BETWEEN 1 AND 128 THEN 'the kind is not 1 to 128 bytes long'
        WHEN kind ~ v_blank THEN 'the kind holds white space or a control character'
        WHEN queue IS NULL OR octet_length(queue) NOT BETWEEN 1 AND 128 THEN 'the name of the queue is not 1 to 128 bytes long'
        WHEN queue ~ v_blank THEN 'the name of the queue holds white space or a control character'
        WHEN payload IS NULL THEN 'there is no payload'
        WHEN octet_length(payload::text) > 1048576 THEN 'the payload is larger than 1 MiB'
        WHEN json_depth(payload::text) > 128 THEN 'the payload is nested deeper than 128 levels'
        WHEN priority IS NULL OR priority NOT BETWEEN -32768 AND 32767 THEN 'the priority is not between -32768 and 32767'
        WHEN v_run_at NOT BETWEEN '1970-01-01 00:00Z' AND '9999-12-31 23:59:59.999999Z' THEN 'the time to run is not between 1970 and 9999'
        WHEN max_retries IS NULL OR max_retries NOT BETWEEN 0 AND 65535 THEN 'the retries are not between 0 and 65535'
        WHEN v_micros IS NULL THEN 'there is no timeout'
        WHEN v_micros < 0 THEN 'the timeout is negative'
        WHEN v_micros > 3.15576e18 THEN 'the timeout is longer than 100,000 years'
    END;
    IF v_fault IS NOT NULL THEN
        RAISE EXCEPTION 'failed to enqueue a job: %', v_fault USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM insert_jobs(
        v_now, ARRAY[v_id], ARRAY[kind], ARRAY[queue], ARRAY[priority::smallint], ARRAY[v_run_at], ARRAY[max_retries],
        -- In seconds alone: the length of a month or of a day is nobody's guess.
        ARRAY[make_interval(secs => v_micros / 1000000.0)], ARRAY[NULL::interval], ARRAY[NULL::interval], ARRAY[NULL::smallint], ARRAY[payload::text]
    );
    -- The same text for all jobs of a level that one transaction enters, so that they make one notification. When a job is due
    -- is said early, in powers of two of a second, so that jobs of any number of times make a few: whoever looks early is
    -- answered the time itself.
    IF NOT coalesce(wake, true) OR coalesce(nullif(current_setting('{wake_setting}', true), ''), 'on')::boolean IS FALSE
        OR pg_notification_queue_usage() > 0.5
    THEN
        RETURN v_id;
    END IF;
    v_due_in := extract(epoch FROM v_run_at - v_now);
    PERFORM pg_notify({channel}, json_build_object('ready', json_build_array(json_build_array(
        queue, priority, (extract(epoch FROM CASE WHEN run_at <= v_now THEN run_at ELSE least(v_run_at, now()) END) * 1000000)::bigint,
        CASE WHEN v_due_in > 1 THEN (power(2, floor(ln(v_due_in) / ln(2))) * 1000000)::bigint ELSE 0 END
    )))::text);
    RETURN v_id;
END
$$;

-- How deep arrays and objects are nested in a JSON text.
CREATE OR REPLACE FUNCTION {schema}.json_depth(json_text text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    v_brackets text;
BEGIN
    -- Fewer than this open at all: the usual case, and quick.
    IF length(json_text) - length(translate(json_text, '[{', '')) <= 128 THEN
        RETURN length(json_text) - length(translate(json_text, '[{', ''));
    END IF;
    v_brackets := regexp_replace(regexp_replace(json_text, E'"(\\\\.|[^"\\\\])*"', '', 'g'), '[^][}{]', '', 'g');
    RETURN (
        SELECT coalesce(max(open), 0)::integer FROM (
            SELECT sum(CASE WHEN bracket IN ('[', '{') THEN 1 ELSE -1 END) OVER (ORDER BY place) AS open
            FROM regexp_split_to_table(v_brackets, '') WITH ORDINALITY AS s (bracket, place)
        ) running
    );
END
$$;
