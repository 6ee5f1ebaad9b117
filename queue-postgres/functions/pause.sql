-- Q17: claims hold this lock of their queue while they look whether it is paused, and until they are committed.
CREATE OR REPLACE FUNCTION {schema}.pause_lock(p_queue text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT hashtextextended('{schema} ' || p_queue, 0)
$$;

-- Q17: pauses a queue. To be committed before the claims that are under way are waited for: those that begin later see it.
CREATE OR REPLACE FUNCTION {schema}.pause(p_queue text) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    INSERT INTO queues AS q (name, paused_at) VALUES (p_queue, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(q.paused_at, excluded.paused_at);
END
$$;

-- Q17: waits for the claims of a queue that are under way.
CREATE OR REPLACE FUNCTION {schema}.await_claims(p_queue text) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(pause_lock(p_queue));
END
$$;

-- Q17: lets a queue go on. Whether it was paused.
CREATE OR REPLACE FUNCTION {schema}.resume(p_queue text) RETURNS boolean
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    UPDATE queues SET paused_at = NULL WHERE name = p_queue AND paused_at IS NOT NULL;
    RETURN FOUND;
END
$$;

-- Q17: the queues that are paused.
CREATE OR REPLACE FUNCTION {schema}.paused() RETURNS SETOF text
LANGUAGE plpgsql STABLE {function_settings}
AS $$
BEGIN
    RETURN QUERY SELECT name FROM queues WHERE paused_at IS NOT NULL ORDER BY name;
END
$$;
