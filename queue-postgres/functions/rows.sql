-- Q19: returns whether an error concerns the written row, and not the server, the session, the
-- rights or the schema. The library has the same list (`error.rs`). Errors of an application's
-- triggers concern the row.
CREATE OR REPLACE FUNCTION {schema}.is_of_a_row(state text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT left(state, 2) NOT IN ('08', '0A', '25', '28', '3D', '3F', '40', '42', '53', '55', '57',
        '58', 'F0', 'HV')
$$;
