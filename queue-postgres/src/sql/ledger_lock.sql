-- Q21: one migrates at a time. The lock goes with the transaction, whatever becomes of the program.
SELECT pg_advisory_xact_lock(hashtextextended('queue-postgres migrates {name}', 0));
