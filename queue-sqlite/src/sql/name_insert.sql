-- Q17: a queue or kind has the same number in every process.
INSERT INTO queue_names (name) VALUES (?1)
