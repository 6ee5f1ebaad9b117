-- Stores an outcome for each job that still has the token, and removes its live row.
WITH done AS (
    DELETE FROM live WHERE id = ANY ($1) AND token = $2 RETURNING id, attempt, token
)
INSERT INTO outcomes (id, finished_at, token, attempt, state)
SELECT id, now(), token, attempt, 4 FROM done
