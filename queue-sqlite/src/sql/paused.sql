-- Q17: the paused queues.
SELECT n.name FROM queue_paused p CROSS JOIN queue_names n ON n.name_id = p.queue ORDER BY n.name
