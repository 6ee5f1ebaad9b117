-- Q17: read in the transaction that claims: no pause can come between.
SELECT EXISTS (SELECT 1 FROM queue_paused WHERE queue = ?1)
