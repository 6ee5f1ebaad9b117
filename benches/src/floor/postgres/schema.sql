-- Every job, wide, written once.
CREATE TABLE jobs (
    id          uuid        PRIMARY KEY,
    run_at      timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    timeout     bigint      NOT NULL,
    kind        integer     NOT NULL,
    queue       integer     NOT NULL,
    max_retries integer     NOT NULL,
    priority    smallint    NOT NULL,
    backoff     json,
    payload     json        NOT NULL
);

-- Every unfinished job, narrow. States: 1 ready, 2 running. Half of each page is left for the second version that a claim
-- writes of each row: within a page it takes less of the log.
CREATE TABLE live (
    id               uuid        PRIMARY KEY,
    run_at           timestamptz NOT NULL,
    kind             integer     NOT NULL,
    queue            integer     NOT NULL,
    attempt          integer     NOT NULL,
    max_retries      integer     NOT NULL,
    priority         smallint    NOT NULL,
    state            smallint    NOT NULL,
    cancel_requested boolean     NOT NULL DEFAULT false,
    token            uuid,
    deadline         timestamptz,
    worker           bigint
) WITH (fillfactor = 50);

-- The order in which the ready jobs of a kind are claimed.
CREATE INDEX live_ready ON live (queue, kind, priority DESC, run_at, id) WHERE state = 1;

-- Every finished job. State 4 is completed. By its id a settlement that is repeated finds the first.
CREATE TABLE outcomes (
    id          uuid        PRIMARY KEY,
    finished_at timestamptz NOT NULL,
    token       uuid        NOT NULL,
    attempt     integer     NOT NULL,
    state       smallint    NOT NULL,
    result      json,
    error       text
);
