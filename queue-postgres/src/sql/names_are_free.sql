-- Q21: fails if a function or a relation has a name that this version adds. Otherwise CREATE OR
-- REPLACE would silently replace an application's function or view.
DO $names$
DECLARE
    v_taken text;
BEGIN
    SELECT f.signature INTO v_taken FROM unnest(ARRAY[{functions}]::text[]) AS f (signature)
    WHERE to_regprocedure(f.signature) IS NOT NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'function % already exists', v_taken USING ERRCODE = 'duplicate_function';
    END IF;
    SELECT v.name INTO v_taken FROM unnest(ARRAY[{views}]::text[]) AS v (name)
    WHERE to_regclass(v.name) IS NOT NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'relation % already exists', v_taken USING ERRCODE = 'duplicate_table';
    END IF;
END
$names$;
