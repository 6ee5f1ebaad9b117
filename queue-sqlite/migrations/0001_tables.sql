-- The tables of the first version. A job is one row of queue_jobs until it is pruned. It also has
-- one row of queue_live while it is unfinished, and one row of queue_outcomes afterwards. `seq`
-- joins them. It never leaves this crate, because it may be assigned again after its job was
-- pruned.
--
-- Times and durations are whole microseconds; times count from 1970. Ids are 16 bytes, most
-- significant first. State: 0 scheduled, 1 ready, 2 running, 3 retrying, 4 completed, 5 dead, 6
-- cancelled. 7 to 9 are reserved for future unfinished states, because a check cannot be changed
-- without copying the table.

-- Names of queues and kinds (queue_jobs.queue, .kind). Integers in rows and indexes make a drain 10
-- % faster than texts.
CREATE TABLE queue_names (
    name_id INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE
) STRICT;

-- Wide, written once. The payload is the last column, so that reading the others needs no overflow
-- pages.
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
    unique_key     TEXT,
    unique_keep    INTEGER,
    payload        TEXT    NOT NULL
) STRICT;

-- Narrow, because each state change writes it.
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
    -- What must be done when the job ends: 1 if it holds a unique key. NULL for most jobs.
    ties             INTEGER,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    worker           INTEGER,
    claim            BLOB,
    deadline         INTEGER,
    progress         BLOB
) STRICT;

-- The claim order. The kind comes first, so that a worker never reads past jobs of kinds that it
-- does not handle.
CREATE INDEX queue_live_ready ON queue_live (queue, kind, priority DESC, run_at, id)
    WHERE state = 1;
CREATE INDEX queue_live_waiting ON queue_live (queue, run_at) WHERE state IN (0, 3);
CREATE INDEX queue_live_running ON queue_live (worker, deadline) WHERE state = 2;
CREATE INDEX queue_live_cancels ON queue_live (worker) WHERE state = 2 AND cancel_requested = 1;

-- Append-only, except for pruning. Pruning goes by seq, because an index by time would make a drain
-- 10 % slower.
CREATE TABLE queue_outcomes (
    seq         INTEGER PRIMARY KEY,
    state       INTEGER NOT NULL CHECK (state BETWEEN 4 AND 6),
    finished_at INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    claim       BLOB,
    error       TEXT,
    result      BLOB
) STRICT;

-- The key allows one error per attempt, however often it is recorded. The worker is its id, because
-- its row may be removed before the error is.
CREATE TABLE queue_attempt_errors (
    seq      INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    duration INTEGER,
    worker   BLOB,
    error    TEXT    NOT NULL,
    PRIMARY KEY (seq, attempt)
) STRICT, WITHOUT ROWID;

-- Unique keys that are held. A separate table with one row per key, because a completed job may
-- hold its key longer, even after it was pruned. Only jobs with a key write it.
CREATE TABLE queue_unique_keys (
    kind  INTEGER NOT NULL,
    key   TEXT    NOT NULL,
    job   BLOB    NOT NULL CHECK (length(job) = 16),
    -- When a completed job releases it. NULL while the job is unfinished.
    until INTEGER,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_unique_keys_until ON queue_unique_keys (until) WHERE until IS NOT NULL;

-- Queues from which no job is claimed.
CREATE TABLE queue_paused (
    queue INTEGER PRIMARY KEY
) STRICT;

-- State: 0 alive, 1 lost with leases left, 2 lost without leases, 3 retired. Rows of lost and
-- retired workers are kept for a day, so that no id is registered again.
CREATE TABLE queue_workers (
    worker_id  INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    name       TEXT    NOT NULL,
    expiry     INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state      INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3)
) STRICT;

CREATE INDEX queue_workers_watched ON queue_workers (state, expires_at);

-- Schedules. The texts are JSON of the queue, which this crate does not read. Each change, a fire
-- included, gives a row another version. The definition is the last column, because it is the
-- longest and rarely changes.
CREATE TABLE queue_schedules (
    name       TEXT    NOT NULL UNIQUE,
    version    BLOB    NOT NULL CHECK (length(version) = 16),
    -- When a worker must look at it; NULL means never.
    due_at     INTEGER,
    state      TEXT    NOT NULL,
    definition TEXT    NOT NULL
) STRICT;

-- Found once per upkeep, regardless of the number of schedules.
CREATE INDEX queue_schedules_due ON queue_schedules (due_at, name) WHERE due_at IS NOT NULL;

-- For operators: `SELECT * FROM queue_overview WHERE state = 'dead'`.
--
-- `ulid` is the id as programs and logs write it: 26 digits of 5 bits, see
-- https://github.com/ulid/spec. With '0' before the 32 hexadecimal digits, digit n begins at bit
-- 5n + 2, and lies in two of them.
CREATE VIEW queue_overview AS
SELECT (
           WITH RECURSIVE ulid (text, bit, hex) AS (
               SELECT '', 2, '0' || hex(j.id)
               UNION ALL
               SELECT text || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((
                          16 * (instr('0123456789ABCDEF', substr(hex, 1 + bit / 4, 1)) - 1)
                          + instr('0123456789ABCDEF', substr(hex, 2 + bit / 4, 1)) - 1
                      ) >> (3 - bit % 4)) % 32, 1), bit + 5, hex
               FROM ulid WHERE bit < 132
           )
           SELECT text FROM ulid WHERE bit = 132
       ) AS ulid, k.name AS kind, q.name AS queue, j.priority,
       CASE coalesce(l.state, o.state)
           WHEN 0 THEN 'scheduled' WHEN 1 THEN 'ready' WHEN 2 THEN 'running' WHEN 3 THEN 'retrying'
           WHEN 4 THEN 'completed' WHEN 5 THEN 'dead' WHEN 6 THEN 'cancelled'
       END AS state,
       coalesce(l.attempt, o.attempt) AS attempt, j.max_retries,
       datetime(j.created_at / 1000000, 'unixepoch') AS created_at,
       datetime(l.run_at / 1000000, 'unixepoch') AS run_at,
       datetime(o.finished_at / 1000000, 'unixepoch') AS finished_at,
       o.error, j.payload, j.id
FROM queue_jobs j
JOIN queue_names k ON k.name_id = j.kind
JOIN queue_names q ON q.name_id = j.queue
LEFT JOIN queue_live l ON l.seq = j.seq
LEFT JOIN queue_outcomes o ON o.seq = j.seq;
