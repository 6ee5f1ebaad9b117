-- Q19: whether a queue has a ready job of a kind.
SELECT EXISTS (SELECT 1 FROM queue_live WHERE state = 1 AND queue = ?1 AND kind = ?2)
