-- Q3: registers a worker. Returns whether its id is new, because an id must not be used twice.
CREATE OR REPLACE FUNCTION {schema}.register(p_now timestamptz, p_worker uuid, p_name text,
    p_expiry interval)
RETURNS boolean
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    INSERT INTO workers (id, name, expiry, expires_at)
    VALUES (
        p_worker, p_name, p_expiry,
        least(coalesce(p_now, clock_timestamp()) + least(p_expiry, '70000000 hours'),
            '9999-12-31 23:59:59.999999Z')
    )
    ON CONFLICT (id) DO NOTHING;
    RETURN FOUND;
END
$$;
