-- A list of rows follows.
INSERT INTO jobs (id, kind, queue, priority, run_at, max_retries, timeout, created_at,
    payload) VALUES
