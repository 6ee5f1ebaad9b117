-- Q15: a job that is unfinished again holds the key that it kept.
UPDATE queue_unique_keys SET until = NULL WHERE kind = ?1 AND key = ?2
