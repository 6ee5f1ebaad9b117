-- Q21: creates the schema and the ledger, which only this library uses. If the schema exists, the
-- role needs no right to create one.
DO $schema$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = {schema_name}) THEN
        CREATE SCHEMA {schema};
    END IF;
END $schema$;
CREATE TABLE IF NOT EXISTS {schema}.migrations (
    version           integer     PRIMARY KEY,
    name              text        NOT NULL,
    applied_at        timestamptz NOT NULL DEFAULT now(),
    oldest_compatible integer     NOT NULL
);
