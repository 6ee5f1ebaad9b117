-- Q17, Q19: which of these queues have a ready job of one of these kinds, so that a worker of many queues claims from those alone.
-- A row for each, and a last one with when the first job that waits in any of them is due. Paused queues have nothing.
--
-- A look at the head of each queue's stretch of an index comes first: most queues are empty, and the number of kinds does not count.
CREATE FUNCTION {schema}.ready_queues(p_now timestamptz, p_queues text[], p_kinds text[])
RETURNS TABLE (queue text, due_at timestamptz, now timestamptz)
LANGUAGE plpgsql STABLE {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_paused text[] := ARRAY(SELECT q.name FROM queues q WHERE q.name = ANY (p_queues) AND q.paused_at IS NOT NULL);
    v_due timestamptz;
BEGIN
    RETURN QUERY
    SELECT q.name, NULL::timestamptz, v_now
    FROM unnest(p_queues) AS q (name)
    CROSS JOIN LATERAL (
        SELECT 1 FROM live l WHERE l.state = 'ready' AND l.queue = q.name LIMIT 1
    ) of_any_kind
    CROSS JOIN LATERAL (
        SELECT 1
        FROM unnest(p_kinds) AS k (kind)
        CROSS JOIN LATERAL (
            SELECT 1 FROM live l WHERE l.state = 'ready' AND l.queue = q.name AND l.kind = k.kind LIMIT 1
        ) of_kind
        LIMIT 1
    ) of_these_kinds
    WHERE q.name <> ALL (v_paused);

    SELECT min(waiting.run_at) INTO v_due
    FROM unnest(p_queues) AS q (name)
    CROSS JOIN LATERAL (
        SELECT l.run_at FROM live l
        WHERE l.state IN ('scheduled', 'retrying') AND l.queue = q.name
        ORDER BY l.run_at LIMIT 1
    ) waiting;
    RETURN QUERY SELECT NULL::text, v_due, v_now;
END
$$;
