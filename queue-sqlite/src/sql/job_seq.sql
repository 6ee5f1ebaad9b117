-- The row number of a job.
SELECT seq FROM queue_jobs WHERE id = ?1
