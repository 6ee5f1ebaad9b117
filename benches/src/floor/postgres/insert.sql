-- Inserts all jobs as ready.
WITH job AS (
    SELECT *
        FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::smallint[], $5::timestamptz[],
        $6::integer[], $7::bigint[], $8::json[])
        AS given (id, kind, queue, priority, run_at, max_retries, timeout, payload)
), stored AS (
    INSERT INTO jobs (id, run_at, created_at, timeout, kind, queue, max_retries, priority, payload)
    SELECT id, run_at, now(), timeout, kind, queue, max_retries, priority, payload FROM job
)
INSERT INTO live (id, run_at, kind, queue, attempt, max_retries, priority, state)
SELECT id, run_at, kind, queue, 0, max_retries, priority, 1 FROM job
