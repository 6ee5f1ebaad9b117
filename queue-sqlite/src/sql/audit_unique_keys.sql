-- All unique keys that are held.
SELECT coalesce(k.name, ''), u.key, u.job, u.until
FROM queue_unique_keys u
LEFT JOIN queue_names k ON k.name_id = u.kind
ORDER BY k.name, u.key
