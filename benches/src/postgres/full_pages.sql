-- The bytes of whole pages in a stretch of the log.
SELECT coalesce(sum(fpi_size), 0)::bigint::text FROM {schema}.pg_get_wal_stats('{start}', '{end}')
