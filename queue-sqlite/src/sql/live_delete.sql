-- Q8: a job that ends is live no more.
DELETE FROM queue_live WHERE seq IN (SELECT value FROM rarray(?1))
