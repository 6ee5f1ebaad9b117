-- Q4, Q9, Q12: one row.
SELECT is_late, leases, cancels, due_at, now FROM {schema}.heartbeat($1, $2, $3, $4, $5, $6)
