-- Stores an outcome for each job that still has the token.
INSERT INTO outcomes (seq, state, finished_at, attempt, token)
SELECT live.seq, 4, ?3, live.attempt, live.token
FROM rarray(?1) AS done CROSS JOIN live ON live.seq = done.value
WHERE live.token = ?2
