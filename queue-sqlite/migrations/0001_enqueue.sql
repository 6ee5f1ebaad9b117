-- Q2, Q6, Q15, Q16: enqueues a batch from SQL, in the transaction of the caller: all jobs or none.
-- docs/sql-contract.md describes the text. The columns and the fields must not change; fields may
-- be added.
--
--   INSERT INTO queue_enqueue (jobs) VALUES ('[{"kind": "send-email", "payload": "{}"}]');
--   SELECT number, id, insertion FROM queue_enqueue ORDER BY number;
--
-- The second statement returns the jobs of the last batch.

-- The identity of this storage, made once.
CREATE TABLE queue_storage (
    id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

INSERT INTO queue_storage VALUES (lower(hex(randomblob(16))));

-- The last batch that was enqueued from SQL, with all options set. The payloads stay in the text.
CREATE TABLE queue_enqueued (
    number         INTEGER PRIMARY KEY,
    given_id       TEXT,
    id             BLOB,
    kind           TEXT    NOT NULL,
    queue          TEXT    NOT NULL,
    priority       INTEGER NOT NULL,
    run_at         INTEGER,
    max_retries    INTEGER NOT NULL,
    timeout        INTEGER NOT NULL,
    backoff_base   INTEGER,
    backoff_cap    INTEGER,
    backoff_jitter INTEGER,
    unique_key     TEXT,
    unique_keep    INTEGER,
    now            INTEGER NOT NULL,
    is_known       INTEGER NOT NULL DEFAULT 0,
    holder         BLOB
) STRICT;

-- The ids as 16 bytes. A given id is a UUID or a ULID (https://github.com/ulid/spec): 26 digits of
-- 5 bits. With two bits before them, hexadecimal digit n begins at bit 4n + 2, and lies in one or
-- two of these digits. Bytes are joined as texts, which changes none of them in a UTF-8 database.
CREATE VIEW queue_enqueued_ids AS
SELECT number, (
    -- `hex` is carried along, because it would be computed anew at each step otherwise.
    WITH RECURSIVE bytes (text, place, hex) AS (
        SELECT x'', 1, given.hex
        UNION ALL
        SELECT text || substr(all_bytes.value,
                   16 * (instr('0123456789abcdef', substr(hex, place, 1)) - 1)
                   + instr('0123456789abcdef', substr(hex, place + 1, 1)), 1), place + 2, hex
        FROM bytes WHERE place < 33
    )
    SELECT CAST(text AS BLOB) FROM bytes WHERE place = 33
) AS id
FROM (
    SELECT number, CASE length(given_id)
        WHEN 36 THEN lower(replace(given_id, '-', ''))
        WHEN 32 THEN given_id
        ELSE (
            WITH RECURSIVE digits (text, bit, ulid) AS (
                SELECT '', 2, upper(given_id)
                UNION ALL
                SELECT text || substr('0123456789abcdef', 1 + ((
                        32 * (instr(crockford.value, substr(ulid, 1 + bit / 5, 1)) - 1)
                        + max(instr(crockford.value, substr(ulid || '0', 2 + bit / 5, 1)) - 1, 0)
                    ) >> (6 - bit % 5)) % 16, 1), bit + 4, ulid
                FROM digits WHERE bit < 130
            )
            SELECT text FROM digits WHERE bit = 130
        )
    END AS hex
    FROM queue_enqueued,
        (SELECT '0123456789ABCDEFGHJKMNPQRSTVWXYZ' AS value) AS crockford
) AS given,
(SELECT CAST(
    x'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F'
    || x'202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F'
    || x'404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F'
    || x'606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F'
    || x'808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9F'
    || x'A0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBF'
    || x'C0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF'
    || x'E0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF'
    AS BLOB) AS value) AS all_bytes;

CREATE VIEW queue_enqueue AS
SELECT CAST(NULL AS TEXT) AS jobs, number, coalesce(holder, id) AS id,
    CASE WHEN holder IS NOT NULL THEN 'duplicate' WHEN is_known THEN 'known' ELSE 'new' END
        AS insertion
FROM queue_enqueued;

-- Errors name the field, and not the number of the job, because RAISE takes only a literal before
-- SQLite 3.47.
CREATE TRIGGER queue_enqueue_jobs INSTEAD OF INSERT ON queue_enqueue
BEGIN
    -- What is no request.
    SELECT CASE
        WHEN length(CAST(x'' || x'00' AS BLOB)) = 0 THEN
            RAISE(ABORT, 'enqueue: the encoding of the database is not UTF-8')
        WHEN NEW.jobs IS NULL OR NOT json_valid(NEW.jobs) THEN
            RAISE(ABORT, 'enqueue: the text is not JSON')
    END;
    SELECT CASE
        WHEN json_type(NEW.jobs) = 'object' AND EXISTS (
            SELECT 1 FROM json_each(NEW.jobs)
            WHERE key NOT IN ('jobs', 'version', 'storage', 'wake')
        ) THEN
            RAISE(ABORT, 'enqueue: the request has an unknown field')
        WHEN json_type(NEW.jobs) = 'object' AND coalesce(NEW.jobs ->> '$.version', 1) <> 1 THEN
            RAISE(ABORT, 'enqueue: the version of the request is unknown')
        WHEN json_type(NEW.jobs) = 'object'
            AND NEW.jobs ->> '$.storage' NOT IN (SELECT id FROM queue_storage) THEN
            RAISE(ABORT, 'enqueue: the transaction is of another database')
        WHEN coalesce(json_type(NEW.jobs, iif(json_type(NEW.jobs) = 'object', '$.jobs', '$')), '')
            <> 'array' THEN
            RAISE(ABORT, 'enqueue: the text has no array of jobs')
        WHEN json_array_length(NEW.jobs, iif(json_type(NEW.jobs) = 'object', '$.jobs', '$'))
            > 100000 THEN
            RAISE(ABORT, 'enqueue: the batch has more than 100000 jobs')
    END;

    -- What is no job. The limits are those of the library.
    SELECT CASE
        WHEN type <> 'object' THEN
            RAISE(ABORT, 'enqueue: a job is no object')
        WHEN EXISTS (
            SELECT 1 FROM json_each(job) f WHERE f.key NOT IN (
                'kind', 'payload', 'id', 'queue', 'priority', 'run_at', 'max_retries', 'timeout',
                'backoff', 'attributes', 'unique', 'unique_keep'
            )
        ) THEN
            RAISE(ABORT, 'enqueue: a job has an unknown field')
        WHEN json_type(job, '$.kind') NOT IN ('text', 'null') THEN
            RAISE(ABORT, 'enqueue: "kind" is no string')
        WHEN json_type(job, '$.payload') NOT IN ('text', 'null') THEN
            RAISE(ABORT, 'enqueue: "payload" is no string')
        WHEN json_type(job, '$.id') NOT IN ('text', 'null') THEN
            RAISE(ABORT, 'enqueue: "id" is no string')
        WHEN json_type(job, '$.queue') NOT IN ('text', 'null') THEN
            RAISE(ABORT, 'enqueue: "queue" is no string')
        WHEN json_type(job, '$.run_at') NOT IN ('text', 'null') THEN
            RAISE(ABORT, 'enqueue: "run_at" is no string')
        WHEN json_type(job, '$.attributes') NOT IN ('text', 'null') THEN
            RAISE(ABORT, 'enqueue: "attributes" is no string')
        WHEN json_type(job, '$.unique') NOT IN ('text', 'null') THEN
            RAISE(ABORT, 'enqueue: "unique" is no string')
        WHEN kind IS NULL OR length(CAST(kind AS BLOB)) NOT BETWEEN 1 AND 128 THEN
            RAISE(ABORT, 'enqueue: "kind" is not 1 to 128 bytes long')
        WHEN kind GLOB blanks OR instr(CAST(kind AS BLOB), x'00') THEN
            RAISE(ABORT, 'enqueue: "kind" holds white space or a control character')
        WHEN queue IS NULL OR length(CAST(queue AS BLOB)) NOT BETWEEN 1 AND 128 THEN
            RAISE(ABORT, 'enqueue: "queue" is not 1 to 128 bytes long')
        WHEN queue GLOB blanks OR instr(CAST(queue AS BLOB), x'00') THEN
            RAISE(ABORT, 'enqueue: "queue" holds white space or a control character')
        WHEN payload IS NULL THEN
            RAISE(ABORT, 'enqueue: "payload" is missing')
        WHEN length(CAST(payload AS BLOB)) > 1048576 THEN
            RAISE(ABORT, 'enqueue: "payload" is larger than 1 MiB')
        WHEN NOT json_valid(payload) THEN
            RAISE(ABORT, 'enqueue: "payload" is no JSON text')
        WHEN length(CAST(attributes AS BLOB)) > 16384 THEN
            RAISE(ABORT, 'enqueue: "attributes" is larger than 16 KiB')
        WHEN attributes IS NOT NULL
            AND NOT (json_valid(attributes) AND json_type(attributes) = 'object') THEN
            RAISE(ABORT, 'enqueue: "attributes" is no JSON text of an object')
        WHEN json_type(job, '$.priority') NOT IN ('integer', 'null')
            OR job ->> '$.priority' NOT BETWEEN -32768 AND 32767 THEN
            RAISE(ABORT, 'enqueue: "priority" is no integer from -32768 to 32767')
        WHEN json_type(job, '$.max_retries') NOT IN ('integer', 'null')
            OR job ->> '$.max_retries' NOT BETWEEN 0 AND 65535 THEN
            RAISE(ABORT, 'enqueue: "max_retries" is no integer from 0 to 65535')
        WHEN json_type(job, '$.timeout') NOT IN ('integer', 'real', 'null')
            OR job ->> '$.timeout' < 0 THEN
            RAISE(ABORT, 'enqueue: "timeout" is no number of seconds')
        WHEN json_type(job, '$.unique_keep') NOT IN ('integer', 'real', 'null')
            OR job ->> '$.unique_keep' < 0 THEN
            RAISE(ABORT, 'enqueue: "unique_keep" is no number of seconds')
        WHEN json_type(job, '$.backoff') NOT IN ('object', 'null')
            OR json_type(job, '$.backoff') = 'object' AND NOT (
                coalesce(json_type(job, '$.backoff.base'), '') IN ('integer', 'real')
                AND coalesce(json_type(job, '$.backoff.cap'), '') IN ('integer', 'real')
                AND coalesce(json_type(job, '$.backoff.jitter'), '') = 'integer'
                AND job ->> '$.backoff.base' >= 0 AND job ->> '$.backoff.cap' >= 0
                AND job ->> '$.backoff.jitter' BETWEEN 0 AND 100
            ) THEN
            RAISE(ABORT, 'enqueue: "backoff" is no object of base, cap and jitter')
        WHEN run_at NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][T ][0-9][0-9]:[0-9][0-9]:*'
            OR zone NOT IN ('Z', 'z') AND zone NOT GLOB '[+-][0-9][0-9]:[0-9][0-9]'
            OR substr(run_at, 20, 2) GLOB '.[^0-9]'
            OR coalesce(date(substr(run_at, 1, 10), '+0 days'), '') <> substr(run_at, 1, 10)
            OR run_at IS NOT NULL AND seconds IS NULL THEN
            RAISE(ABORT, 'enqueue: "run_at" is no time like 2030-12-31T23:59:59Z')
        WHEN seconds NOT BETWEEN 0 AND 253402300799 THEN
            RAISE(ABORT, 'enqueue: "run_at" is not between 1970 and 9999')
        WHEN NOT (
            length(id) = 26 AND upper(id) GLOB '[0-7]*'
                AND upper(id) NOT GLOB '*[^0-9A-HJKMNP-TV-Z]*'
            OR id GLOB '????????-????-????-????-????????????'
                AND length(replace(id, '-', '')) = 32
                AND replace(id, '-', '') NOT GLOB '*[^0-9A-Fa-f]*'
        ) THEN
            RAISE(ABORT, 'enqueue: "id" is neither a ULID nor a UUID')
        WHEN length(CAST(unique_key AS BLOB)) NOT BETWEEN 1 AND 255 THEN
            RAISE(ABORT, 'enqueue: "unique" is not 1 to 255 bytes long')
        WHEN unique_key GLOB controls OR instr(CAST(unique_key AS BLOB), x'00') THEN
            RAISE(ABORT, 'enqueue: "unique" holds a control character')
        WHEN unique_key IS NULL AND job ->> '$.unique_keep' IS NOT NULL THEN
            RAISE(ABORT, 'enqueue: "unique_keep" needs "unique"')
    END
    FROM (
        SELECT *, CAST(strftime('%s', substr(run_at, 1, 19) || zone) AS INTEGER) AS seconds
        FROM (
            SELECT type, value AS job, value ->> '$.kind' AS kind,
                coalesce(value ->> '$.queue', 'default') AS queue,
                value ->> '$.payload' AS payload, value ->> '$.attributes' AS attributes,
                value ->> '$.id' AS id, value ->> '$.unique' AS unique_key,
                value ->> '$.run_at' AS run_at,
                iif(substr(value ->> '$.run_at', 20, 1) = '.',
                    ltrim(substr(value ->> '$.run_at', 21), '0123456789'),
                    substr(value ->> '$.run_at', 20)) AS zone
            FROM json_each(NEW.jobs, iif(json_type(NEW.jobs) = 'object', '$.jobs', '$'))
        )
    ), (
        SELECT '*[' || char(1) || '-' || char(32, 127) || '-' || char(160, 5760, 8192) || '-'
                || char(8202, 8232, 8233, 8239, 8287, 12288) || ']*' AS blanks,
            '*[' || char(1) || '-' || char(31, 127) || '-' || char(159) || ']*' AS controls
    );

    -- All options of each job.
    DELETE FROM queue_enqueued;
    INSERT INTO queue_enqueued (number, given_id, kind, queue, priority, run_at, max_retries,
        timeout, backoff_base, backoff_cap, backoff_jitter, unique_key, unique_keep, now)
    SELECT number,
        coalesce(job ->> '$.id', printf('%012x', ms) || lower(hex(randomblob(10)))),
        job ->> '$.kind', coalesce(job ->> '$.queue', 'default'),
        coalesce(job ->> '$.priority', 0),
        CAST(strftime('%s', substr(run_at, 1, 19) || zone) AS INTEGER) * 1000000
            + CAST(substr(substr(run_at, 21, length(run_at) - 20 - length(zone)) || '000000', 1, 6)
                AS INTEGER),
        coalesce(job ->> '$.max_retries', 10),
        timeout, base, max(base, cap), job ->> '$.backoff.jitter', job ->> '$.unique',
        iif(job ->> '$.unique' IS NULL, NULL, keep), ms * 1000
    FROM (
        SELECT key + 1 AS number, value AS job, value ->> '$.run_at' AS run_at,
            iif(substr(value ->> '$.run_at', 20, 1) = '.',
                ltrim(substr(value ->> '$.run_at', 21), '0123456789'),
                substr(value ->> '$.run_at', 20)) AS zone,
            -- In microseconds, at most what an integer holds.
            min(round(coalesce(value ->> '$.timeout', 600) * 1e6), 9223372036854774784) AS timeout,
            min(round(coalesce(value ->> '$.unique_keep', 0) * 1e6), 9223372036854774784) AS keep,
            min(round(value ->> '$.backoff.base' * 1e6), 9223372036854774784) AS base,
            min(round(value ->> '$.backoff.cap' * 1e6), 9223372036854774784) AS cap
        FROM json_each(NEW.jobs, iif(json_type(NEW.jobs) = 'object', '$.jobs', '$'))
    ), (SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) AS ms);
    UPDATE queue_enqueued
    SET id = (SELECT i.id FROM queue_enqueued_ids i WHERE i.number = queue_enqueued.number);
    -- Not `OR IGNORE`, because the conflict clause of the caller's statement would replace it.
    INSERT INTO queue_names (name)
    SELECT name FROM (
        SELECT kind AS name FROM queue_enqueued UNION SELECT queue FROM queue_enqueued
    ) WHERE name NOT IN (SELECT name FROM queue_names);
    -- Q16: what is stored already.
    UPDATE queue_enqueued SET is_known = EXISTS (
        SELECT 1 FROM queue_jobs j WHERE j.id = queue_enqueued.id
    );
    SELECT CASE
        WHEN (SELECT count(*) - count(DISTINCT id) FROM queue_enqueued) > 0 THEN
            RAISE(ABORT, 'enqueue: an id is in the batch twice')
        WHEN EXISTS (
            SELECT 1 FROM queue_enqueued q
            CROSS JOIN queue_jobs j ON j.id = q.id
            CROSS JOIN queue_names k ON k.name_id = j.kind
            CROSS JOIN queue_names n ON n.name_id = j.queue
            WHERE q.is_known AND (
                (k.name, n.name, j.priority, j.max_retries, j.timeout, j.run_at)
                    IS NOT (q.kind, q.queue, q.priority, q.max_retries, q.timeout,
                        coalesce(q.run_at, j.created_at))
                OR (j.backoff_base, j.backoff_cap, j.backoff_jitter)
                    IS NOT (q.backoff_base, q.backoff_cap, q.backoff_jitter)
                OR (j.unique_key, j.unique_keep) IS NOT (q.unique_key, q.unique_keep)
                OR j.payload <> json_extract(NEW.jobs,
                    iif(json_type(NEW.jobs) = 'object', '$.jobs[', '$[') || (q.number - 1)
                    || '].payload')
            )
        ) THEN
            RAISE(ABORT, 'enqueue: the id is stored already with other content')
        WHEN EXISTS (SELECT 1 FROM queue_enqueued WHERE is_known)
            AND EXISTS (
                SELECT 1 FROM queue_enqueued WHERE NOT is_known AND unique_key IS NULL
            ) THEN
            RAISE(ABORT, 'enqueue: the batch is stored already in part')
    END;
    -- Q15: which keys are free. The first job of a key takes it.
    INSERT INTO queue_unique_keys (kind, key, job)
    SELECT k.name_id, q.unique_key, q.id
    FROM queue_enqueued q CROSS JOIN queue_names k ON k.name = q.kind
    WHERE q.unique_key IS NOT NULL AND NOT q.is_known
    ORDER BY q.number
    ON CONFLICT (kind, key) DO UPDATE SET job = excluded.job, until = NULL
        WHERE until <= (SELECT now FROM queue_enqueued LIMIT 1);
    UPDATE queue_enqueued SET holder = (
        -- A kept key is held even against its own job, which was pruned.
        SELECT iif(u.until IS NULL, nullif(u.job, queue_enqueued.id), u.job)
        FROM queue_names k CROSS JOIN queue_unique_keys u
            ON u.kind = k.name_id AND u.key = queue_enqueued.unique_key
        WHERE k.name = queue_enqueued.kind
    )
    WHERE unique_key IS NOT NULL AND NOT is_known;
    INSERT INTO queue_jobs (id, kind, queue, priority, run_at, max_retries, timeout, backoff_base,
        backoff_cap, backoff_jitter, created_at, attributes, unique_key, unique_keep, payload)
    SELECT q.id, k.name_id, n.name_id, q.priority, coalesce(q.run_at, q.now), q.max_retries,
        q.timeout, q.backoff_base, q.backoff_cap, q.backoff_jitter, q.now,
        e.value ->> '$.attributes', q.unique_key, q.unique_keep, e.value ->> '$.payload'
    FROM json_each(NEW.jobs, iif(json_type(NEW.jobs) = 'object', '$.jobs', '$')) e
    CROSS JOIN queue_enqueued q ON q.number = e.key + 1
    CROSS JOIN queue_names k ON k.name = q.kind
    CROSS JOIN queue_names n ON n.name = q.queue
    WHERE NOT q.is_known AND q.holder IS NULL
    ORDER BY e.key;
    INSERT INTO queue_live (seq, id, queue, kind, priority, state, run_at, attempt, max_retries,
        timeout, ties)
    SELECT j.seq, j.id, j.queue, j.kind, j.priority, j.run_at <= q.now, j.run_at, 0, j.max_retries,
        min(j.timeout, 253402300799999999), iif(j.unique_key IS NULL, NULL, 1)
    FROM queue_enqueued q CROSS JOIN queue_jobs j ON j.id = q.id
    WHERE NOT q.is_known AND q.holder IS NULL;
END;
