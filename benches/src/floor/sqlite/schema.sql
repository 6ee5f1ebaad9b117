-- All jobs: wide, written once. The payload is last and in a rowid table, because elsewhere a long
-- payload would take a page of its own.
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

-- All unfinished jobs: narrow. States: 1 ready, 2 running.
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

-- The claim order of the ready jobs of a queue; SQLite appends `seq` to each entry.
CREATE INDEX live_ready ON live (queue, priority DESC, run_at) WHERE state = 1;

-- All finished jobs. State 4 is completed.
CREATE TABLE outcomes (
    seq         INTEGER PRIMARY KEY,
    state       INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    token       BLOB,
    result      TEXT,
    error       TEXT
);
