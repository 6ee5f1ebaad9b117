-- Q4: stores progress only for a token that holds the lease.
UPDATE queue_live SET progress = ?4 WHERE seq = ?1 AND id = ?2 AND +state = 2 AND claim = ?3
