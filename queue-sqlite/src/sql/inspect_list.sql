-- Q20: a page of jobs by id, after the last id of the previous page.
SELECT j.seq, j.id, j.created_at, coalesce(l.state, o.state),
       j.priority, j.run_at, j.max_retries, j.timeout, j.backoff_base, j.backoff_cap,
           j.backoff_jitter, j.payload, j.attributes, j.unique_key, j.unique_keep,
       k.name, q.name, coalesce(l.run_at, j.run_at), coalesce(l.attempt, o.attempt), l.progress,
       o.finished_at, o.result, o.error
FROM queue_jobs j
CROSS JOIN queue_names k ON k.name_id = j.kind
CROSS JOIN queue_names q ON q.name_id = j.queue
LEFT JOIN queue_live l ON l.seq = j.seq
LEFT JOIN queue_outcomes o ON o.seq = j.seq
WHERE j.id > coalesce(:after, x'')
  AND (:state IS NULL OR coalesce(l.state, o.state) = :state)
  AND (:queue IS NULL OR q.name = :queue)
  AND (:kind IS NULL OR k.name = :kind)
ORDER BY j.id
LIMIT :limit
