-- Q14: makes them ready.
UPDATE queue_live SET state = 1 WHERE seq IN (SELECT value FROM rarray(?1)) AND +state IN (0, 3)
