-- Q17: the lock of a queue. A claim holds it while it checks whether the queue is paused, and until
-- it commits.
CREATE OR REPLACE FUNCTION {schema}.pause_lock(p_queue text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT hashtextextended('{schema} ' || p_queue, 0)
$$;

-- Q17: pauses a queue. The caller must commit this before it waits for running claims, so that
-- later claims see it.
CREATE OR REPLACE FUNCTION {schema}.pause(p_queue text) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    INSERT INTO queues AS q (name, paused_at) VALUES (p_queue, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(q.paused_at, excluded.paused_at);
END
$$;

-- Q17: waits for the running claims of a queue.
CREATE OR REPLACE FUNCTION {schema}.await_claims(p_queue text) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(pause_lock(p_queue));
END
$$;

-- Q17: resumes a queue. Returns whether it was paused.
CREATE OR REPLACE FUNCTION {schema}.resume(p_queue text) RETURNS boolean
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    UPDATE queues SET paused_at = NULL WHERE name = p_queue AND paused_at IS NOT NULL;
    RETURN FOUND;
END
$$;

-- Q17: returns the paused queues.
CREATE OR REPLACE FUNCTION {schema}.paused() RETURNS SETOF text
LANGUAGE plpgsql STABLE {function_settings}
AS $$
BEGIN
    RETURN QUERY SELECT name FROM queues WHERE paused_at IS NOT NULL ORDER BY name;
END
$$;
