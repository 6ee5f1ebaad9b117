-- The same jobs are no longer live.
DELETE FROM live WHERE seq IN (SELECT value FROM rarray(?1)) AND token = ?2
