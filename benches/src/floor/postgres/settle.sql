-- An outcome for every job that still carries the fence, which then is no longer live.
WITH done AS (
    DELETE FROM live WHERE id = ANY ($1) AND token = $2 RETURNING id, attempt, token
)
INSERT INTO outcomes (id, finished_at, token, attempt, state)
SELECT id, now(), token, attempt, 4 FROM done
