-- Q14: promotes waiting jobs.
UPDATE queue_live SET state = 1 WHERE seq IN (SELECT value FROM rarray(?1)) AND +state IN (0, 3)
