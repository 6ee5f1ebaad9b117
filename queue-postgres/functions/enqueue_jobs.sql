-- Q2, Q6, Q15, Q16: enqueues a batch from SQL, in the transaction of the caller: all jobs or none.
-- The text is a JSON array of jobs, or an object with the array. docs/sql-contract.md describes it.
-- This signature and the fields must not change; fields may be added.
--
--   SELECT * FROM {schema}.enqueue_jobs('[{"kind": "send-email", "payload": "{}"}]');
--
-- Returns one row per job, in the order of the array: its number from 1, its id or that of the job
-- that holds its unique key, and `new`, `known` or `duplicate`.
CREATE OR REPLACE FUNCTION {schema}.enqueue_jobs(jobs text)
RETURNS TABLE (number integer, id uuid, insertion text)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_request json := CASE WHEN is_json(jobs) THEN jobs::json END;
    v_now timestamptz := clock_timestamp();
    v_jobs json;
    v_fault text;
    v_batch enqueued_job[];
    v_stored uuid[];
    v_new enqueued_job[];
    v_held jsonb := '{}';
    v_job enqueued_job;
    v_level record;
BEGIN
    v_jobs := CASE json_typeof(v_request) WHEN 'object' THEN v_request -> 'jobs' ELSE v_request END;
    v_fault := request_fault(v_request, v_jobs);
    IF v_fault IS NULL THEN
        SELECT format('job %s of %s: %s', f.number, json_array_length(v_jobs), f.fault) INTO v_fault
        FROM (
            SELECT e.number, job_fault(e.job) AS fault
            FROM json_array_elements(v_jobs) WITH ORDINALITY AS e (job, number)
        ) f
        WHERE f.fault IS NOT NULL
        ORDER BY f.number LIMIT 1;
    END IF;
    IF v_fault IS NOT NULL THEN
        RAISE EXCEPTION 'failed to enqueue jobs: %', v_fault
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    v_batch := ARRAY(
        SELECT read_job(e.job, e.number::integer, v_now)
        FROM json_array_elements(v_jobs) WITH ORDINALITY AS e (job, number)
        ORDER BY e.number
    );
    v_stored := known_of_batch(v_batch);
    v_new := ARRAY(SELECT b FROM unnest(v_batch) b WHERE b.id <> ALL (v_stored));
    IF cardinality(v_new) > 0 THEN
        SELECT coalesce(jsonb_object_agg(i.job, i.holder) FILTER (WHERE i.job IS NOT NULL), '{}')
        INTO v_held
        FROM (
            SELECT array_agg(n.id) AS ids, array_agg(n.kind) AS kinds, array_agg(n.queue) AS queues,
                array_agg(n.priority) AS priorities, array_agg(n.run_at) AS run_ats,
                array_agg(n.max_retries) AS max_retries, array_agg(n.timeout) AS timeouts,
                array_agg(n.backoff_base) AS bases, array_agg(n.backoff_cap) AS caps,
                array_agg(n.backoff_jitter) AS jitters, array_agg(n.payload) AS payloads,
                array_agg(n.more) AS more
            FROM unnest(v_new) n
        ) a
        CROSS JOIN LATERAL insert_unique_jobs(
            v_now, a.ids, a.kinds, a.queues, a.priorities, a.run_ats, a.max_retries, a.timeouts,
            a.bases, a.caps, a.jitters, a.payloads, a.more
        ) i;
    END IF;

    FOREACH v_job IN ARRAY v_batch LOOP
        number := v_job.number;
        id := coalesce((v_held ->> v_job.id::text)::uuid, v_job.id);
        insertion := CASE
            WHEN v_held ? v_job.id::text THEN 'duplicate'
            WHEN v_job.id = ANY (v_stored) THEN 'known'
            ELSE 'new'
        END;
        RETURN NEXT;
    END LOOP;

    IF coalesce(v_request ->> 'wake', 'true') = 'true' THEN
        FOR v_level IN
            SELECT DISTINCT n.queue, n.priority, n.run_at FROM unnest(v_new) n
            WHERE NOT v_held ? n.id::text
        LOOP
            PERFORM notify_ready(v_level.queue, v_level.priority, v_level.run_at, v_now);
        END LOOP;
    END IF;
END
$$;

-- Q22: returns why a text is no request, or NULL.
CREATE OR REPLACE FUNCTION {schema}.request_fault(p_request json, p_jobs json) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_field text;
BEGIN
    IF p_request IS NULL THEN
        RETURN 'the text is not JSON';
    END IF;
    IF json_typeof(p_request) = 'object' THEN
        SELECT k INTO v_field FROM json_object_keys(p_request) k
        WHERE k <> ALL (ARRAY['jobs', 'version', 'storage', 'wake']) LIMIT 1;
        IF v_field IS NOT NULL THEN
            RETURN format('the request has an unknown field "%s"', v_field);
        END IF;
        IF coalesce(p_request ->> 'version', '1') <> '1' THEN
            RETURN format('the version of the request is unknown: %s; this schema knows '
                'version 1', p_request ->> 'version');
        END IF;
        IF coalesce(p_request ->> 'storage', storage_id()::text) <> storage_id()::text THEN
            RETURN format('the transaction is of another database or schema than the queue: this '
                'is storage %s', storage_id());
        END IF;
    END IF;
    IF p_jobs IS NULL OR json_typeof(p_jobs) <> 'array' THEN
        RETURN 'the text has no array of jobs';
    END IF;
    IF json_array_length(p_jobs) > 100000 THEN
        RETURN 'the batch has more than 100000 jobs';
    END IF;
    RETURN NULL;
END
$$;

-- Q22: returns why a job cannot be stored, or NULL. The limits are those of the library.
CREATE OR REPLACE FUNCTION {schema}.job_fault(p_job json) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_field text;
    v_value text;
    v_blank CONSTANT text :=
        E'[\\u0001-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
    v_number CONSTANT text := '^\d+(\.\d+)?([eE][-+]?\d{1,3})?$';
BEGIN
    IF json_typeof(p_job) <> 'object' THEN
        RETURN 'it is no object';
    END IF;
    SELECT k INTO v_field FROM json_object_keys(p_job) k
    WHERE k <> ALL (ARRAY['kind', 'payload', 'id', 'queue', 'priority', 'run_at', 'max_retries',
        'timeout', 'backoff', 'attributes', 'unique', 'unique_keep']) LIMIT 1;
    IF v_field IS NOT NULL THEN
        RETURN format('it has an unknown field "%s"', v_field);
    END IF;
    FOREACH v_field IN ARRAY
        ARRAY['kind', 'payload', 'id', 'queue', 'run_at', 'attributes', 'unique']
    LOOP
        IF coalesce(json_typeof(p_job -> v_field), 'null') NOT IN ('string', 'null') THEN
            RETURN format('"%s" is no string', v_field);
        END IF;
    END LOOP;
    FOREACH v_field IN ARRAY ARRAY['priority', 'max_retries', 'timeout', 'unique_keep'] LOOP
        IF coalesce(json_typeof(p_job -> v_field), 'null') NOT IN ('number', 'null') THEN
            RETURN format('"%s" is no %s', v_field, CASE v_field
                WHEN 'priority' THEN 'integer from -32768 to 32767'
                WHEN 'max_retries' THEN 'integer from 0 to 65535'
                ELSE 'number of seconds'
            END);
        END IF;
    END LOOP;
    FOREACH v_field IN ARRAY ARRAY['kind', 'queue'] LOOP
        v_value := coalesce(p_job ->> v_field, CASE v_field WHEN 'queue' THEN 'default' END);
        IF v_value IS NULL OR octet_length(v_value) NOT BETWEEN 1 AND 128 THEN
            RETURN format('"%s" is not 1 to 128 bytes long', v_field);
        ELSIF v_value ~ v_blank THEN
            RETURN format('"%s" holds white space or a control character', v_field);
        END IF;
    END LOOP;
    v_value := p_job ->> 'payload';
    IF v_value IS NULL THEN
        RETURN '"payload" is missing';
    ELSIF octet_length(v_value) > 1048576 THEN
        RETURN '"payload" is larger than 1 MiB';
    ELSIF NOT is_json(v_value) THEN
        RETURN '"payload" is no JSON text';
    ELSIF json_depth(v_value) > 128 THEN
        RETURN '"payload" is nested deeper than 128 levels';
    END IF;
    v_value := p_job ->> 'attributes';
    IF octet_length(v_value) > 16384 THEN
        RETURN '"attributes" is larger than 16 KiB';
    ELSIF NOT is_json(v_value) OR json_typeof(v_value::json) <> 'object' THEN
        RETURN '"attributes" is no JSON text of an object';
    END IF;
    v_value := p_job ->> 'priority';
    IF v_value !~ '^-?\d{1,5}$' OR v_value::integer NOT BETWEEN -32768 AND 32767 THEN
        RETURN '"priority" is no integer from -32768 to 32767';
    END IF;
    v_value := p_job ->> 'max_retries';
    IF v_value !~ '^\d{1,5}$' OR v_value::integer > 65535 THEN
        RETURN '"max_retries" is no integer from 0 to 65535';
    END IF;
    FOREACH v_field IN ARRAY ARRAY['timeout', 'unique_keep'] LOOP
        v_value := p_job ->> v_field;
        IF v_value !~ v_number OR length(v_value) > 30 THEN
            RETURN format('"%s" is no number of seconds', v_field);
        END IF;
    END LOOP;
    IF p_job ->> 'backoff' IS NOT NULL AND (
        json_typeof(p_job -> 'backoff') <> 'object'
        OR (p_job -> 'backoff' ->> 'base' ~ v_number) IS NOT TRUE
        OR (p_job -> 'backoff' ->> 'cap' ~ v_number) IS NOT TRUE
        OR (p_job -> 'backoff' ->> 'jitter' ~ '^(\d\d?|100)$') IS NOT TRUE
    ) THEN
        RETURN '"backoff" is no object of base, cap and jitter';
    END IF;
    v_value := p_job ->> 'run_at';
    IF v_value !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$'
        OR NOT is_time(v_value)
    THEN
        RETURN '"run_at" is no time like 2030-12-31T23:59:59Z';
    ELSIF v_value::timestamptz
        NOT BETWEEN '1970-01-01 00:00Z' AND '9999-12-31 23:59:59.999999Z'
    THEN
        RETURN '"run_at" is not between 1970 and 9999';
    END IF;
    v_value := p_job ->> 'id';
    IF v_value !~ '^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$'
        AND v_value !~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$'
    THEN
        RETURN '"id" is neither a ULID nor a UUID';
    END IF;
    v_value := p_job ->> 'unique';
    IF octet_length(v_value) NOT BETWEEN 1 AND 255 THEN
        RETURN '"unique" is not 1 to 255 bytes long';
    ELSIF v_value ~ E'[\\u0001-\\u001f\\u007f-\\u009f]' THEN
        RETURN '"unique" holds a control character';
    ELSIF v_value IS NULL AND p_job ->> 'unique_keep' IS NOT NULL THEN
        RETURN '"unique_keep" needs "unique"';
    END IF;
    RETURN NULL;
END
$$;

-- Returns whether a text is JSON. NULL for NULL.
CREATE OR REPLACE FUNCTION {schema}.is_json(json_text text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN json_text::json IS NOT NULL;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN false;
END
$$;

-- Returns whether a text of the form of a time names a day and a time that exist. NULL for NULL.
CREATE OR REPLACE FUNCTION {schema}.is_time(time_text text) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN time_text::timestamptz IS NOT NULL;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format
    OR invalid_time_zone_displacement_value
THEN
    RETURN false;
END
$$;

-- Returns a checked job with all options set.
CREATE OR REPLACE FUNCTION {schema}.read_job(p_job json, p_number integer, p_now timestamptz)
RETURNS {schema}.enqueued_job
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_id text := p_job ->> 'id';
    v_job {schema}.enqueued_job;
BEGIN
    v_job.number := p_number;
    v_job.id := CASE
        WHEN v_id IS NULL THEN new_id(p_now) WHEN length(v_id) = 26 THEN id(v_id) ELSE v_id::uuid
    END;
    v_job.kind := p_job ->> 'kind';
    v_job.queue := coalesce(p_job ->> 'queue', 'default');
    v_job.priority := coalesce((p_job ->> 'priority')::smallint, 0);
    v_job.run_at := (p_job ->> 'run_at')::timestamptz;
    v_job.max_retries := coalesce((p_job ->> 'max_retries')::integer, 10);
    v_job.timeout := coalesce(seconds(p_job ->> 'timeout'), '10 minutes');
    v_job.backoff_base := seconds(p_job -> 'backoff' ->> 'base');
    v_job.backoff_cap := seconds(p_job -> 'backoff' ->> 'cap');
    v_job.backoff_jitter := (p_job -> 'backoff' ->> 'jitter')::smallint;
    v_job.payload := p_job ->> 'payload';
    v_job.unique_key := p_job ->> 'unique';
    v_job.unique_keep := CASE WHEN v_job.unique_key IS NOT NULL
        THEN coalesce(seconds(p_job ->> 'unique_keep'), '0') END;
    v_job.more := json_build_object(
        'attributes', p_job ->> 'attributes',
        'unique_key', v_job.unique_key,
        'unique_keep', (extract(epoch FROM v_job.unique_keep) * 1000000)::bigint
    );
    RETURN v_job;
END
$$;

-- Returns a text of seconds as an interval, in whole microseconds, at most 2^63 - 1 of them.
CREATE OR REPLACE FUNCTION {schema}.seconds(seconds text) RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT {schema}.microseconds(
        least(round(seconds::numeric * 1000000), 9223372036854775807)::bigint
    )
$$;

-- Q16: returns the ids of the batch that are stored already. Fails if one of them has other
-- content, or if a job without a unique key is missing beside them.
CREATE OR REPLACE FUNCTION {schema}.known_of_batch(p_batch anyarray) RETURNS uuid[]
LANGUAGE plpgsql STABLE {function_settings}
AS $$
DECLARE
    v_ids uuid[] := ARRAY(SELECT b.id FROM unnest(p_batch) b);
    v_known uuid[];
    v_fault text;
BEGIN
    SELECT b.id::text INTO v_fault FROM unnest(p_batch) b
    GROUP BY b.id HAVING count(*) > 1 LIMIT 1;
    IF v_fault IS NOT NULL THEN
        RAISE EXCEPTION 'failed to enqueue jobs: the id % is in the batch twice',
            ulid(v_fault::uuid)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    v_known := ARRAY(SELECT j.id FROM jobs j WHERE j.id = ANY (v_ids));
    IF cardinality(v_known) = 0 THEN
        RETURN v_known;
    END IF;
    SELECT format('the job %s is stored already with other content', ulid(j.id)) INTO v_fault
    FROM jobs j JOIN unnest(p_batch) b ON j.id = ANY (v_ids) AND j.id = b.id
    WHERE (j.kind, j.queue, j.priority, j.max_retries, j.timeout, j.payload::text)
            IS DISTINCT FROM (b.kind, b.queue, b.priority, b.max_retries, b.timeout, b.payload)
        OR j.run_at <> coalesce(b.run_at, j.created_at)
        OR (j.backoff_base, j.backoff_cap, j.backoff_jitter) IS DISTINCT FROM
            (b.backoff_base, greatest(b.backoff_base, b.backoff_cap), b.backoff_jitter)
        OR (j.unique_key, j.unique_keep) IS DISTINCT FROM (b.unique_key, b.unique_keep)
    LIMIT 1;
    IF v_fault IS NULL AND EXISTS (
        SELECT 1 FROM unnest(p_batch) b WHERE b.unique_key IS NULL AND b.id <> ALL (v_known)
    ) THEN
        v_fault := format('the job %s is stored already, but others of its batch are not',
            ulid(v_known[1]));
    END IF;
    IF v_fault IS NOT NULL THEN
        RAISE EXCEPTION 'failed to enqueue jobs: %', v_fault USING ERRCODE = 'unique_violation';
    END IF;
    RETURN v_known;
END
$$;

-- Returns the id of this storage. A program compares it with that of its handle, so that a job is
-- not enqueued in a transaction of another database.
CREATE OR REPLACE FUNCTION {schema}.storage_id() RETURNS uuid
LANGUAGE plpgsql STABLE {function_settings}
AS $$
BEGIN
    RETURN (SELECT s.id FROM storage s);
END
$$;
