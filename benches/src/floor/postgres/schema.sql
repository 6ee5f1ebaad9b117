-- All jobs: wide, written once.
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

-- All unfinished jobs: narrow. States: 1 ready, 2 running. Half of each page is free for the second
-- version that a claim writes of each row, because an update within a page writes less log.
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

-- The claim order of the ready jobs of a kind.
CREATE INDEX live_ready ON live (queue, kind, priority DESC, run_at, id) WHERE state = 1;

-- All finished jobs. State 4 is completed. A repeated settle finds the first one by the id.
CREATE TABLE outcomes (
    id          uuid        PRIMARY KEY,
    finished_at timestamptz NOT NULL,
    token       uuid        NOT NULL,
    attempt     integer     NOT NULL,
    state       smallint    NOT NULL,
    result      json,
    error       text
);
