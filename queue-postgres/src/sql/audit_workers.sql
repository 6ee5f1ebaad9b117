-- Reads the live workers.
SELECT id FROM {schema}.workers WHERE state = 'live' ORDER BY id
