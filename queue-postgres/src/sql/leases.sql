-- Q3: reads the live leases of one claim.
SELECT id, priority, run_at, attempt, max_retries, timeout, backoff_base, backoff_cap,
    backoff_jitter, payload, kind, queue, attributes
FROM {schema}.leases($1, $2)
