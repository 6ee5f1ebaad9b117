-- Q4, Q6, Q10: completes the job of a lease in the transaction of the caller, and enqueues its
-- follow-ups. The text is that of queue_enqueue with three more fields: `job` and `claim` as 32
-- hexadecimal digits, and `result`. Only the library writes it.
CREATE VIEW queue_complete AS SELECT CAST(NULL AS TEXT) AS request;

CREATE TRIGGER queue_complete_job INSTEAD OF INSERT ON queue_complete
BEGIN
    SELECT CASE
        WHEN NOT json_valid(NEW.request) THEN
            RAISE(ABORT, 'complete: the text is not JSON')
        WHEN NEW.request ->> '$.storage' NOT IN (SELECT id FROM queue_storage) THEN
            RAISE(ABORT, 'enqueue: the transaction is of another database')
    END;
    -- Reads all running jobs, of which there are few, because a text cannot become bytes before
    -- SQLite 3.41.
    INSERT INTO queue_outcomes (seq, state, finished_at, attempt, claim, result)
    SELECT seq, 4, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        attempt, claim, CAST(NEW.request ->> '$.result' AS BLOB)
    FROM queue_live INDEXED BY queue_live_running
    WHERE state = 2 AND lower(hex(id)) = NEW.request ->> '$.job'
        AND lower(hex(claim)) = NEW.request ->> '$.claim';
    SELECT RAISE(ABORT, 'complete: the lease is lost') WHERE changes() = 0;
    -- From here on, last_insert_rowid() is the number of the job.
    DELETE FROM queue_live WHERE seq = last_insert_rowid();
    INSERT INTO queue_unique_keys (kind, key, job, until)
    SELECT j.kind, j.unique_key, j.id, min(o.finished_at + j.unique_keep, 253402300799999999)
    FROM queue_jobs j CROSS JOIN queue_outcomes o ON o.seq = j.seq
    WHERE j.seq = last_insert_rowid() AND j.unique_keep > 0
    ON CONFLICT (kind, key) DO UPDATE SET until = excluded.until WHERE job = excluded.job;
    DELETE FROM queue_unique_keys
    WHERE until IS NULL AND (kind, key, job) IN (
        SELECT kind, unique_key, id FROM queue_jobs WHERE seq = last_insert_rowid()
    );
    INSERT INTO queue_enqueue (jobs)
    VALUES (json_remove(NEW.request, '$.job', '$.claim', '$.result'));
END;
