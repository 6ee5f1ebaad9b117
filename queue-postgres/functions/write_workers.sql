-- Q19: sets the state of these workers, which the caller has locked, or removes them if p_state is
-- NULL. If one of the rows cannot be written, writes each separately. Returns one row per worker,
-- with the cause if it could not be written.
CREATE OR REPLACE FUNCTION {schema}.write_workers(p_workers uuid[], p_state text)
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
