-- The tables of the first version. A job is one row of queue_jobs for as long as it is known, one
-- of queue_live while it is unfinished, and one of queue_outcomes afterwards; `seq` joins them, and
-- is never shown to anybody: it can be given again once its job was pruned.
--
-- Times and durations are whole microseconds, times since 1970. Ids are 16 bytes, most significant
-- first. State: 0 scheduled, 1 ready, 2 running, 3 retrying, 4 completed, 5 dead, 6 cancelled. 7 to
-- 9 are kept for unfinished states to come, because a check cannot be changed without writing the
-- table anew.

-- Names of queues and kinds (queue_jobs.queue, .kind): integers in the rows and indexes make a
-- drain a tenth faster than texts.
CREATE TABLE queue_names (
    name_id INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE
) STRICT;

-- Wide, written once. The payload stands last: reading what is before it walks no overflow pages.
CREATE TABLE queue_jobs (
    seq            INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    kind           INTEGER NOT NULL,
    queue          INTEGER NOT NULL,
    priority       INTEGER NOT NULL,
    run_at         INTEGER NOT NULL,
    max_retries    INTEGER NOT NULL,
    timeout        INTEGER NOT NULL,
    backoff_base   INTEGER,
    backoff_cap    INTEGER,
    backoff_jitter INTEGER,
    created_at     INTEGER NOT NULL,
    attributes     TEXT,
    payload        TEXT    NOT NULL
) STRICT;

-- Narrow, because each transition writes it.
CREATE TABLE queue_live (
    seq              INTEGER PRIMARY KEY,
    id               BLOB    NOT NULL,
    queue            INTEGER NOT NULL,
    kind             INTEGER NOT NULL,
    priority         INTEGER NOT NULL,
    state            INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3 OR state BETWEEN 7 AND 9),
    run_at           INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,
    max_retries      INTEGER NOT NULL,
    timeout          INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    worker           INTEGER,
    claim            BLOB,
    deadline         INTEGER,
    progress         BLOB
) STRICT;

-- The order of claims. The kind stands before the order, so that no number of jobs of kinds that a
-- worker does not handle stands in its way.
CREATE INDEX queue_live_ready ON queue_live (queue, kind, priority DESC, run_at, id) WHERE state = 1;
CREATE INDEX queue_live_waiting ON queue_live (queue, run_at) WHERE state IN (0, 3);
CREATE INDEX queue_live_running ON queue_live (worker, deadline) WHERE state = 2;
CREATE INDEX queue_live_cancels ON queue_live (worker) WHERE state = 2 AND cancel_requested = 1;

-- Append-only, except for pruning, which goes by seq: an index by time would cost a drain a tenth.
CREATE TABLE queue_outcomes (
    seq         INTEGER PRIMARY KEY,
    state       INTEGER NOT NULL CHECK (state BETWEEN 4 AND 6),
    finished_at INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    claim       BLOB,
    error       TEXT,
    result      BLOB
) STRICT;

-- Keyed by what it describes, so that an attempt has one error however often it is recorded.
CREATE TABLE queue_attempt_errors (
    seq     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    error   TEXT    NOT NULL,
    PRIMARY KEY (seq, attempt)
) STRICT, WITHOUT ROWID;

-- Queues that give nothing to claims.
CREATE TABLE queue_paused (
    queue INTEGER PRIMARY KEY
) STRICT;

-- State: 0 lives, 1 was given up and its leases are being moved, 2 was given up and has none left,
-- 3 retired. Rows of workers that are gone stay for a day, so that no id is used twice.
CREATE TABLE queue_workers (
    worker_id  INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    name       TEXT    NOT NULL,
    expiry     INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state      INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3)
) STRICT;

CREATE INDEX queue_workers_watched ON queue_workers (state, expires_at);

-- For people: `SELECT * FROM queue_overview WHERE state = 'dead'`.
CREATE VIEW queue_overview AS
SELECT hex(j.id) AS id, k.name AS kind, q.name AS queue, j.priority,
       CASE coalesce(l.state, o.state)
           WHEN 0 THEN 'scheduled' WHEN 1 THEN 'ready' WHEN 2 THEN 'running' WHEN 3 THEN 'retrying'
           WHEN 4 THEN 'completed' WHEN 5 THEN 'dead' WHEN 6 THEN 'cancelled'
       END AS state,
       coalesce(l.attempt, o.attempt) AS attempt, j.max_retries,
       datetime(j.created_at / 1000000, 'unixepoch') AS created_at,
       datetime(l.run_at / 1000000, 'unixepoch') AS run_at,
       datetime(o.finished_at / 1000000, 'unixepoch') AS finished_at,
       o.error, j.payload
FROM queue_jobs j
JOIN queue_names k ON k.name_id = j.kind
JOIN queue_names q ON q.name_id = j.queue
LEFT JOIN queue_live l ON l.seq = j.seq
LEFT JOIN queue_outcomes o ON o.seq = j.seq;
