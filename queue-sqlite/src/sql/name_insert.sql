-- Q17: a queue or kind is what its text says, in every process; the number is given once.
INSERT INTO queue_names (name) VALUES (?1)
