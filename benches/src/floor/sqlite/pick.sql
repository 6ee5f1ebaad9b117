-- The most urgent jobs of a queue and a set of kinds, with the data for a handler. CROSS JOIN fixes
-- the order of the loops, independent of statistics.
SELECT live.seq, jobs.id, jobs.kind, live.attempt + 1, live.max_retries, jobs.timeout, jobs.backoff,
    jobs.payload
FROM live INDEXED BY live_ready CROSS JOIN jobs ON jobs.seq = live.seq
WHERE live.state = 1 AND live.queue = ?1 AND live.kind IN (SELECT value FROM json_each(?2))
ORDER BY live.priority DESC, live.run_at, live.seq
LIMIT ?3
