-- Q17: from the commit on claims of the queue take nothing.
INSERT INTO queue_paused (queue) VALUES (?1) ON CONFLICT (queue) DO NOTHING
