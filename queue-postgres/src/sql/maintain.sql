-- Q7, Q8, Q11, Q14: does maintenance, of which each part may be skipped.
SELECT queue, priority, run_at, promoted, workers_lost, rescued, died, pruned, next, due_at, now,
    passed_over, is_worker, fault, finished
FROM {schema}.maintain($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
