-- Q17, Q19: one row per queue with ready or waiting jobs, and a last row.
SELECT queue, is_ready, due_at, now FROM {schema}.ready_queues($1, $2, $3)
