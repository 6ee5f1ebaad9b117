-- The live workers.
SELECT id FROM queue_workers WHERE state = 0 ORDER BY id
