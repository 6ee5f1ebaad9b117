-- Q4: progress is stored only under a live token.
UPDATE queue_live SET progress = ?4 WHERE seq = ?1 AND id = ?2 AND +state = 2 AND claim = ?3
