-- Q21: the ledger is ours alone, beside whatever the application migrates by.
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.migrations (
    version           integer     PRIMARY KEY,
    name              text        NOT NULL,
    applied_at        timestamptz NOT NULL DEFAULT now(),
    oldest_compatible integer     NOT NULL
);
GRANT SELECT ON {schema}.migrations TO PUBLIC;
