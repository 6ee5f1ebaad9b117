-- Q2, Q16: ids are ULIDs. A new id is random, so that no two jobs share it. Ids are in the order of
-- age, by which pruning keeps all ids of the idempotency window.

-- Returns the least id of a time. A ULID begins with its milliseconds since 1970 in 48 bits.
CREATE OR REPLACE FUNCTION {schema}.least_id(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT (lpad(to_hex(greatest(floor(extract(epoch FROM at) * 1000), 0)::bigint), 12, '0')
        || '00000000000000000000')::uuid
$$;

-- Returns a new id of a time, with 80 random bits.
CREATE OR REPLACE FUNCTION {schema}.new_id(at timestamptz) RETURNS uuid
LANGUAGE sql VOLATILE STRICT PARALLEL SAFE
AS $$
    SELECT (
        lpad(to_hex(greatest(floor(extract(epoch FROM at) * 1000), 0)::bigint), 12, '0')
        || substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)
        || substr(replace(gen_random_uuid()::text, '-', ''), 1, 8)
    )::uuid
$$;

-- Returns an id in the form of programs and logs: 26 characters of Crockford's base 32, see
-- https://github.com/ulid/spec.
CREATE OR REPLACE FUNCTION {schema}.ulid(id uuid) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ',
        1 + substr(bits, 1 + 5 * digit, 5)::bit(5)::integer, 1), '' ORDER BY digit)
    FROM (SELECT '00' || (('x' || replace(id::text, '-', ''))::bit(128))::text AS bits) AS the_id,
        generate_series(0, 25) AS digit
$$;

-- Returns the id of such a text; fails if the text is not a ULID.
CREATE OR REPLACE FUNCTION {schema}.id(ulid text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    v_bits text;
BEGIN
    IF upper(ulid) !~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' THEN
        RAISE EXCEPTION '"%" is not a ULID', ulid USING ERRCODE = 'invalid_text_representation';
    END IF;
    SELECT string_agg((strpos('0123456789ABCDEFGHJKMNPQRSTVWXYZ', letter) - 1)::bit(5)::text, ''
        ORDER BY place)
    INTO v_bits
    FROM regexp_split_to_table(upper(ulid), '') WITH ORDINALITY AS s (letter, place);
    RETURN (
        SELECT string_agg(to_hex(substr(v_bits, 3 + 4 * digit, 4)::bit(4)::integer), ''
            ORDER BY digit)
        FROM generate_series(0, 31) AS digit
    )::uuid;
END
$$;
