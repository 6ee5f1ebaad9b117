-- Q4, Q6, Q10: completes the job of a lease in the transaction of the caller, and enqueues its
-- follow-ups. Fails if the lease is lost. The text is that of enqueue_jobs with three more fields:
-- `job` and `claim` as uuid, and `result`, a text or null. Only the library writes it.
--
-- Returns the rows of enqueue_jobs.
CREATE OR REPLACE FUNCTION {schema}.complete_job(p_request text)
RETURNS TABLE (number integer, id uuid, insertion text)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_request json := p_request::json;
    v_job uuid := (v_request ->> 'job')::uuid;
    v_jobs json := v_request -> 'jobs';
    v_fault text;
    v_end record;
BEGIN
    v_fault := request_fault(
        json_build_object(
            'version', v_request -> 'version', 'storage', v_request -> 'storage',
            'wake', v_request -> 'wake'
        ),
        v_jobs
    );
    IF v_fault IS NOT NULL THEN
        RAISE EXCEPTION 'failed to complete a job: %', v_fault
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    FOR v_end IN
        SELECT s.ends FROM settle(
            clock_timestamp(), ARRAY[v_job], ARRAY[(v_request ->> 'claim')::uuid],
            ARRAY[convert_to(v_request ->> 'result', 'UTF8')], NULL, NULL, NULL, NULL
        ) s
    LOOP
        IF v_end.ends THEN
            RAISE EXCEPTION 'failed to complete the job %: the lease is lost', ulid(v_job)
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        IF coalesce(v_request ->> 'wake', 'true') = 'true' THEN
            PERFORM notify_from_sql(json_build_object('finished', json_build_array(ulid(v_job))));
        END IF;
    END LOOP;

    IF json_array_length(v_jobs) > 0 THEN
        RETURN QUERY
        SELECT e.number, e.id, e.insertion
        FROM enqueue_jobs(json_build_object(
            'wake', v_request -> 'wake', 'jobs', v_jobs
        )::text) e;
    END IF;
END
$$;
