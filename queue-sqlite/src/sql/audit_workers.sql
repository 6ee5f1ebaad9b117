-- Workers that are registered and not given up.
SELECT id FROM queue_workers WHERE state = 0 ORDER BY id
