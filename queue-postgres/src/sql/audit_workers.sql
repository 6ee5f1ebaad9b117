-- Workers that are registered and not given up.
SELECT id FROM {schema}.workers WHERE state = 'live' ORDER BY id
