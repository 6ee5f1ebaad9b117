-- An outcome for every job that still carries the fence.
INSERT INTO outcomes (seq, state, finished_at, attempt, token)
SELECT live.seq, 4, ?3, live.attempt, live.token
FROM rarray(?1) AS done CROSS JOIN live ON live.seq = done.value
WHERE live.token = ?2
