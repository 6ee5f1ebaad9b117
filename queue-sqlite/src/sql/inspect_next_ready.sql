-- The first ready job of each kind in the queue ?1. Steps from kind to kind in the index, so that
-- the number of jobs does not matter. A paused queue has none.
WITH RECURSIVE kinds (queue, kind) AS (
    SELECT q.name_id, (
        SELECT min(l.kind) FROM queue_live l WHERE l.state = 1 AND l.queue = q.name_id
    )
    FROM queue_names q
    WHERE q.name = ?1 AND NOT EXISTS (SELECT 1 FROM queue_paused p WHERE p.queue = q.name_id)
    UNION ALL
    SELECT k.queue, (
        SELECT min(l.kind) FROM queue_live l
        WHERE l.state = 1 AND l.queue = k.queue AND l.kind > k.kind
    )
    FROM kinds k WHERE k.kind IS NOT NULL
)
SELECT n.name, (
    SELECT l.id FROM queue_live l
    WHERE l.state = 1 AND l.queue = k.queue AND l.kind = k.kind
    ORDER BY l.priority DESC, l.run_at, l.id LIMIT 1
)
FROM kinds k
JOIN queue_names n ON n.name_id = k.kind
