-- Q17: read in the transaction of the claim, so that no pause happens in between.
SELECT EXISTS (SELECT 1 FROM queue_paused WHERE queue = ?1)
