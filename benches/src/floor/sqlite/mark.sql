-- Counts the attempt of each job and stores the token of its claim.
UPDATE live
SET state = 2, attempt = attempt + 1, token = ?2, worker = ?3, deadline = ?4
WHERE seq IN (SELECT value FROM rarray(?1))
