-- Q17: after the commit, claims take jobs of the queue again.
DELETE FROM queue_paused WHERE queue = ?1
