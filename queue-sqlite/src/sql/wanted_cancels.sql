-- Q9: all running jobs with a cancel request. There are few, and the index has no others.
SELECT id FROM queue_live INDEXED BY queue_live_cancels WHERE state = 2 AND cancel_requested = 1
