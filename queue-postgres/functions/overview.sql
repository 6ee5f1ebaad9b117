-- Keeps no promise. For operators: SELECT * FROM {schema}.overview WHERE state = 'dead'.
CREATE OR REPLACE VIEW {schema}.overview AS
SELECT {schema}.ulid(j.id) AS ulid, j.kind, j.queue, j.priority,
    coalesce(l.state, o.state) AS state,
    coalesce(l.attempt, o.attempt) AS attempt, j.max_retries, j.created_at,
    coalesce(l.run_at, j.run_at) AS run_at,
    w.name AS worker, l.deadline, o.finished_at, o.error, j.payload, j.id
FROM {schema}.jobs j
LEFT JOIN {schema}.live l ON l.id = j.id
LEFT JOIN {schema}.outcomes o ON o.id = j.id
LEFT JOIN {schema}.workers w ON w.id = l.worker;
