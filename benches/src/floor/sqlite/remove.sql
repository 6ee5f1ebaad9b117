-- Removes the live rows of the completed jobs.
DELETE FROM live WHERE seq IN (SELECT value FROM rarray(?1)) AND token = ?2
