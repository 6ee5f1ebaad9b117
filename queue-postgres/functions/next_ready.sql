-- Q19: returns the first ready job of each kind in these queues. A worker calls it once a minute,
-- to notice kinds that no worker handles. A paused queue has none.
--
-- Steps from kind to kind in the index of ready jobs, so that the number of jobs does not matter.
CREATE OR REPLACE FUNCTION {schema}.next_ready(p_queues text[])
RETURNS TABLE (queue text, kind text, id uuid)
LANGUAGE plpgsql STABLE {function_settings}
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE kinds AS (
        SELECT q.name AS queue, first.kind
        FROM unnest(p_queues) AS q (name)
        CROSS JOIN LATERAL (
            SELECT l.kind FROM live l WHERE l.state = 'ready' AND l.queue = q.name
                ORDER BY l.kind LIMIT 1
        ) first
        WHERE NOT EXISTS (SELECT FROM queues p WHERE p.name = q.name AND p.paused_at IS NOT NULL)
        UNION ALL
        SELECT k.queue, following.kind
        FROM kinds k
        CROSS JOIN LATERAL (
            SELECT l.kind FROM live l
                WHERE l.state = 'ready' AND l.queue = k.queue AND l.kind > k.kind
                ORDER BY l.kind LIMIT 1
        ) following
    )
    SELECT k.queue, k.kind, first.id
    FROM kinds k
    CROSS JOIN LATERAL (
        SELECT l.id FROM live l WHERE l.state = 'ready' AND l.queue = k.queue AND l.kind = k.kind
            ORDER BY l.priority DESC, l.run_at, l.id LIMIT 1
    ) first;
END
$$;
