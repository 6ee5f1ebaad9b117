-- Claims the most urgent jobs of a queue and a set of kinds: counts the attempt and stores the
-- token. Skips rows locked by another claim. The array is filled once, before the update. Each kind
-- is a range of the index. The statement locks up to the limit of rows per kind until the commit.
UPDATE live
SET state = 2, attempt = attempt + 1, token = $4, worker = $5,
    deadline = now() + $6::bigint * interval '1 microsecond'
FROM jobs
WHERE jobs.id = live.id AND live.id = ANY (ARRAY(
    SELECT ready.id
    FROM unnest($2::integer[]) AS handled (kind)
    CROSS JOIN LATERAL (
        SELECT live.id, live.priority, live.run_at
        FROM live
        WHERE live.state = 1 AND live.queue = $1 AND live.kind = handled.kind
        ORDER BY live.priority DESC, live.run_at, live.id
        LIMIT $3
        FOR UPDATE SKIP LOCKED
    ) ready
    ORDER BY ready.priority DESC, ready.run_at, ready.id
    LIMIT $3
))
RETURNING live.id, jobs.kind, live.attempt, live.max_retries, jobs.timeout, jobs.backoff,
    jobs.payload
