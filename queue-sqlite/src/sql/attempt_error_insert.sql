-- Q4: records the error of an attempt, once per attempt. The last value is the number of the
-- worker.
INSERT INTO queue_attempt_errors (seq, attempt, at, duration, error, worker)
SELECT column1, column2, column3, column4, column5,
    (SELECT w.id FROM queue_workers w WHERE w.worker_id = column6)
FROM (VALUES {rows})
WHERE true
ON CONFLICT (seq, attempt) DO UPDATE SET at = excluded.at, duration = excluded.duration,
    error = excluded.error, worker = excluded.worker
