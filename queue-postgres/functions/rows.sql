-- Q19: returns whether an error concerns the written row, and not the server, the session, the
-- rights or the schema. The library has the same list (`error.rs`). Errors of an application's
-- triggers concern the row.
CREATE OR REPLACE FUNCTION {schema}.is_of_a_row(state text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT left(state, 2) NOT IN ('08', '0A', '25', '28', '3D', '3F', '40', '42', '53', '55', '57',
        '58', 'F0', 'HV')
$$;

-- Returns a number of microseconds as an interval. PostgreSQL 14 reads no text of more than 2^31 of
-- them. Both products are exact as double precision.
CREATE OR REPLACE FUNCTION {schema}.microseconds(number bigint) RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT number / 3600000000 * interval '1 hour' + number % 3600000000 * interval '1 microsecond'
$$;
