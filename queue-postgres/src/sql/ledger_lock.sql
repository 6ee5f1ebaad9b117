-- Q21: one program migrates at a time. The lock ends with the transaction, even if the program
-- dies.
SELECT pg_advisory_xact_lock(hashtextextended('queue-postgres migrates {name}', 0));
