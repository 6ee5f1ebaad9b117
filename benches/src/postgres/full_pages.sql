-- The size of whole-page images in a range of the log.
SELECT coalesce(sum(fpi_size), 0)::bigint::text FROM {schema}.pg_get_wal_stats('{start}', '{end}')
