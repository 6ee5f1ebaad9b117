-- Q17, Q19: returns one row per queue with a ready job of these kinds or a waiting job. It has the
-- time when the first waiting job is due. The last row has the time of the check. A worker of many
-- queues then claims only from queues with ready jobs. A paused queue counts as without ready jobs.
--
-- Checks the head of each queue's range of an index first, because most queues are empty, so that
-- the number of kinds does not matter.
CREATE OR REPLACE FUNCTION {schema}.ready_queues(p_now timestamptz, p_queues text[], p_kinds text[])
RETURNS TABLE (queue text, is_ready boolean, due_at timestamptz, now timestamptz)
LANGUAGE plpgsql STABLE {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_paused text[] := ARRAY(SELECT q.name FROM queues q
        WHERE q.name = ANY (p_queues) AND q.paused_at IS NOT NULL);
BEGIN
    RETURN QUERY
    SELECT q.name, ready.is_there IS NOT NULL AND q.name <> ALL (v_paused), waiting.run_at, v_now
    FROM unnest(p_queues) AS q (name)
    LEFT JOIN LATERAL (
        SELECT l.run_at FROM live l
        WHERE l.state IN ('scheduled', 'retrying') AND l.queue = q.name
        ORDER BY l.run_at LIMIT 1
    ) waiting ON true
    LEFT JOIN LATERAL (
        SELECT true AS is_there FROM live l WHERE l.state = 'ready' AND l.queue = q.name LIMIT 1
    ) of_any_kind ON true
    LEFT JOIN LATERAL (
        SELECT true AS is_there
        FROM unnest(p_kinds) AS k (kind)
        CROSS JOIN LATERAL (
            SELECT 1 FROM live l WHERE l.state = 'ready' AND l.queue = q.name AND l.kind = k.kind
                LIMIT 1
        ) of_kind
        WHERE of_any_kind.is_there
        LIMIT 1
    ) ready ON true
    WHERE of_any_kind.is_there OR waiting.run_at IS NOT NULL;

    RETURN QUERY SELECT NULL::text, NULL::boolean, NULL::timestamptz, v_now;
END
$$;
