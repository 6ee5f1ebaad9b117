-- The tables of the first version. A job is one row of jobs for as long as it is known, one of live
-- while it is unfinished, and one of outcomes afterwards. An id is the 16 bytes of a ULID.

CREATE TYPE {schema}.job_state AS ENUM
    ('scheduled', 'ready', 'running', 'retrying', 'completed', 'dead', 'cancelled');

-- lost: given up, its leases are being moved; cleared: given up, and has none left.
CREATE TYPE {schema}.worker_state AS ENUM ('live', 'lost', 'cleared', 'retired');

-- What a program relies on when it reads a job. Domains, because a table's own checks are parsed anew by each statement
-- that writes to it, which took as long as all the rest of a small insert.
CREATE DOMAIN {schema}.label AS text COLLATE "C" CHECK (octet_length(VALUE) BETWEEN 1 AND 128);
CREATE DOMAIN {schema}.moment AS timestamptz CHECK (VALUE BETWEEN '1970-01-01 00:00Z' AND '9999-12-31 23:59:59.999999Z');
CREATE DOMAIN {schema}.span AS interval CHECK (VALUE >= '0');
CREATE DOMAIN {schema}.retries AS integer CHECK (VALUE BETWEEN 0 AND 65535);
CREATE DOMAIN {schema}.percent AS smallint CHECK (VALUE BETWEEN 0 AND 100);

-- Wide, written once.
CREATE TABLE {schema}.jobs (
    id             uuid              PRIMARY KEY,
    created_at     {schema}.moment   NOT NULL,
    run_at         {schema}.moment   NOT NULL,
    timeout        {schema}.span     NOT NULL,
    backoff_base   {schema}.span,
    backoff_cap    {schema}.span,
    max_retries    {schema}.retries  NOT NULL,
    priority       smallint          NOT NULL,
    backoff_jitter {schema}.percent,
    kind           {schema}.label    NOT NULL,
    queue          {schema}.label    NOT NULL,
    payload        json              NOT NULL,
    attributes     json
);

-- Narrow, because each transition writes it.
CREATE TABLE {schema}.live (
    id               uuid        PRIMARY KEY,
    run_at           timestamptz NOT NULL,
    attempt          integer     NOT NULL,
    max_retries      integer     NOT NULL,
    state            {schema}.job_state NOT NULL,
    priority         smallint    NOT NULL,
    cancel_requested boolean     NOT NULL DEFAULT false,
    queue            text        COLLATE "C" NOT NULL,
    kind             text        COLLATE "C" NOT NULL,
    claim            uuid,
    worker           uuid,
    deadline         timestamptz,
    progress_done    numeric,
    progress_total   numeric
) WITH (
    -- Each job leaves a few dead rows: they are to be gone before they are many.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.1
);

-- The order of claims. The kind stands before the order, so that no number of jobs of kinds that a
-- worker does not handle stands in its way.
CREATE INDEX live_ready ON {schema}.live (queue, kind, priority DESC, run_at, id) WHERE state = 'ready';
CREATE INDEX live_waiting ON {schema}.live (queue, run_at) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX live_running ON {schema}.live (worker, deadline) WHERE state = 'running';

-- Append-only, except for pruning, which goes by id, that is by age: an index by time would cost each job.
CREATE TABLE {schema}.outcomes (
    id          uuid        PRIMARY KEY,
    finished_at timestamptz NOT NULL,
    -- The claim whose settle ended the job: the same settle again is answered as the first.
    claim       uuid,
    attempt     integer     NOT NULL,
    state       {schema}.job_state NOT NULL,
    error       text,
    result      bytea
);

-- An attempt has one error. The key is made of the row: a sequence is carried over by no replica and no restore of rows.
CREATE TABLE {schema}.attempt_errors (
    job     uuid        NOT NULL,
    at      timestamptz NOT NULL,
    attempt integer     NOT NULL,
    error   text        NOT NULL,
    PRIMARY KEY (job, attempt)
);

-- Queues of which there is something to say; all others are as if they had a row of defaults.
CREATE TABLE {schema}.queues (
    name      text        COLLATE "C" PRIMARY KEY,
    paused_at timestamptz
);

-- Rows of workers that are gone stay for a day, so that no id is used twice.
CREATE TABLE {schema}.workers (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    expiry     interval    NOT NULL,
    expires_at timestamptz NOT NULL,
    state      {schema}.worker_state NOT NULL DEFAULT 'live'
) WITH (fillfactor = 50);

-- Not by the expiry: a heartbeat would write the indexes too.
CREATE INDEX workers_watched ON {schema}.workers (id) WHERE state IN ('live', 'lost');
CREATE INDEX workers_gone ON {schema}.workers (id) WHERE state IN ('cleared', 'retired');
