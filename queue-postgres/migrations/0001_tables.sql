-- The tables of the first version. A job is one row of jobs until it is pruned. It also has one row
-- of live while it is unfinished, and one row of outcomes afterwards. An id is the 16 bytes of a
-- ULID.

CREATE TYPE {schema}.job_state AS ENUM
    ('scheduled', 'ready', 'running', 'retrying', 'completed', 'dead', 'cancelled');

-- lost: has leases that are not yet taken back; cleared: lost and without leases.
CREATE TYPE {schema}.worker_state AS ENUM ('live', 'lost', 'cleared', 'retired');

-- The values that a program may rely on when it reads a job. Domains, because each statement parses
-- the checks of the tables that it writes, which doubled the time of a small insert.
CREATE DOMAIN {schema}.label AS text COLLATE "C" CHECK (octet_length(VALUE) BETWEEN 1 AND 128);
CREATE DOMAIN {schema}.unique_text AS text COLLATE "C"
    CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
CREATE DOMAIN {schema}.moment AS timestamptz
    CHECK (VALUE BETWEEN '1970-01-01 00:00Z' AND '9999-12-31 23:59:59.999999Z');
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
    attributes     json,
    unique_key     {schema}.unique_text,
    unique_keep    {schema}.span
);

-- Narrow, because each state change writes it.
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
    progress_total   numeric,
    -- What must be done when the job ends: 1 if it holds a unique key, plus 2 if its end must be
    -- announced. NULL for most jobs, so that a settle finds the others without a join.
    ties             smallint
) WITH (
    -- Each job leaves a few dead rows, which must be removed before they are many.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.1
);

-- The claim order. The kind comes first, so that a worker never reads past jobs of kinds that it
-- does not handle.
CREATE INDEX live_ready ON {schema}.live (queue, kind, priority DESC, run_at, id)
    WHERE state = 'ready';
CREATE INDEX live_waiting ON {schema}.live (queue, run_at) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX live_running ON {schema}.live (worker, deadline) WHERE state = 'running';

-- Append-only, except for pruning. Pruning goes by id, that is by age, because an index by time
-- would make each job slower.
CREATE TABLE {schema}.outcomes (
    id          uuid        PRIMARY KEY,
    finished_at timestamptz NOT NULL,
    -- The claim whose settle ended the job, so that a repeated settle gets the same reply.
    claim       uuid,
    attempt     integer     NOT NULL,
    state       {schema}.job_state NOT NULL,
    error       text,
    result      bytea
);

-- An attempt has one error. The key is in the row, because neither a replica nor a restore of rows
-- copies a sequence.
CREATE TABLE {schema}.attempt_errors (
    job      uuid        NOT NULL,
    at       timestamptz NOT NULL,
    duration {schema}.span,
    worker   uuid,
    attempt  integer     NOT NULL,
    error    text        NOT NULL,
    PRIMARY KEY (job, attempt)
);

-- Unique keys that are held. A separate table with one row per key, because a completed job may
-- hold its key longer, even after it was pruned. Only jobs with a key write it.
CREATE TABLE {schema}.unique_keys (
    kind  text COLLATE "C" NOT NULL,
    key   text COLLATE "C" NOT NULL,
    job   uuid NOT NULL,
    -- When a completed job releases it. NULL while the job is unfinished.
    until timestamptz,
    PRIMARY KEY (kind, key)
);

CREATE INDEX unique_keys_until ON {schema}.unique_keys (until) WHERE until IS NOT NULL;

-- Schedules. The texts are JSON of the queue, which the functions do not read. Each change, a fire
-- included, gives a row another version.
CREATE TABLE {schema}.schedules (
    name       {schema}.label NOT NULL PRIMARY KEY,
    version    uuid           NOT NULL,
    -- When a worker must look at it; NULL means never.
    due_at     {schema}.moment,
    state      json           NOT NULL,
    definition json           NOT NULL
);

-- Found once per upkeep, regardless of the number of schedules.
CREATE INDEX schedules_due ON {schema}.schedules (due_at, name) WHERE due_at IS NOT NULL;

-- The identity of this storage, made once.
CREATE TABLE {schema}.storage (
    id uuid PRIMARY KEY
);
INSERT INTO {schema}.storage SELECT gen_random_uuid();

-- A job of an enqueue from SQL, with all options set.
CREATE TYPE {schema}.enqueued_job AS (
    number         integer,
    id             uuid,
    kind           text,
    queue          text,
    priority       smallint,
    run_at         timestamptz,
    max_retries    integer,
    timeout        interval,
    backoff_base   interval,
    backoff_cap    interval,
    backoff_jitter smallint,
    payload        text,
    unique_key     text,
    unique_keep    interval,
    more           text
);

-- Queues with settings. A queue without a row has the defaults.
CREATE TABLE {schema}.queues (
    name      text        COLLATE "C" PRIMARY KEY,
    paused_at timestamptz
);

-- Rows of lost and retired workers are kept for a day, so that no id is registered again.
CREATE TABLE {schema}.workers (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    expiry     interval    NOT NULL,
    expires_at timestamptz NOT NULL,
    state      {schema}.worker_state NOT NULL DEFAULT 'live'
) WITH (fillfactor = 50);

-- Not by the expiry, because then each heartbeat would write the indexes too.
CREATE INDEX workers_watched ON {schema}.workers (id) WHERE state IN ('live', 'lost');
CREATE INDEX workers_gone ON {schema}.workers (id) WHERE state IN ('cleared', 'retired');
