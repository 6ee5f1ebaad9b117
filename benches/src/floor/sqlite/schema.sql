-- Every job, wide, written once. The payload stands last and in a rowid table: elsewhere a long one would take a page of its own.
CREATE TABLE jobs (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    kind        INTEGER NOT NULL,
    queue       INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    run_at      INTEGER NOT NULL,
    max_retries INTEGER NOT NULL,
    timeout     INTEGER NOT NULL,
    backoff     TEXT,
    created_at  INTEGER NOT NULL,
    payload     TEXT NOT NULL
);

-- Every unfinished job, narrow. States: 1 ready, 2 running.
CREATE TABLE live (
    seq              INTEGER PRIMARY KEY,
    queue            INTEGER NOT NULL,
    kind             INTEGER NOT NULL,
    priority         INTEGER NOT NULL,
    state            INTEGER NOT NULL,
    run_at           INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,
    max_retries      INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    deadline         INTEGER,
    worker           INTEGER,
    token            BLOB
);

-- The order in which the ready jobs of a queue are claimed; `seq` ends every entry by itself.
CREATE INDEX live_ready ON live (queue, priority DESC, run_at) WHERE state = 1;

-- Every finished job. State 4 is completed.
CREATE TABLE outcomes (
    seq         INTEGER PRIMARY KEY,
    state       INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    token       BLOB,
    result      TEXT,
    error       TEXT
);
