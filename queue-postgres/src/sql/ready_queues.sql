-- Q17, Q19: a row for each queue that has something, and a last one.
SELECT queue, is_ready, due_at, now FROM {schema}.ready_queues($1, $2, $3)
