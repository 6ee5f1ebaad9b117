-- Q17: the queues that are paused.
SELECT n.name FROM queue_paused p CROSS JOIN queue_names n ON n.name_id = p.queue ORDER BY n.name
