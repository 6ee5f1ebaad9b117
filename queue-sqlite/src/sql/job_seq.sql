-- Where a job's rows are.
SELECT seq FROM queue_jobs WHERE id = ?1
