-- Q7, Q8, Q11, Q14: does the parts of maintenance in one transaction. Skips a part with a limit of
-- zero. Returns: one row per level with newly ready jobs; one row per watched job that is dead; one
-- row per job or worker with a row that could not be written. The last row has the counts, the
-- position at which pruning continues, and the time when the next waiting job is due.
CREATE OR REPLACE FUNCTION {schema}.maintain(
    p_now timestamptz,
    p_worker uuid,
    p_promote integer,
    p_rescue integer,
    p_prune integer,
    p_prune_looks integer,
    p_prune_after uuid,
    p_completed interval,
    p_cancelled interval,
    p_dead interval,
    p_window interval,
    p_without uuid[]
) RETURNS TABLE (
    queue text, priority smallint, run_at timestamptz, promoted bigint, workers_lost bigint,
    rescued bigint, died bigint, pruned bigint, next uuid, due_at timestamptz, now timestamptz,
    passed_over uuid, is_worker boolean, fault text, finished uuid
)
LANGUAGE plpgsql {function_settings}
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := coalesce(p_now, clock_timestamp());
    v_queue text := '';
    v_promoted bigint := 0;
    v_part record;
    v_workers_lost bigint := 0;
    v_rescued bigint := 0;
    v_died bigint := 0;
    v_pruned bigint := 0;
    v_next uuid;
BEGIN
    WHILE v_promoted < p_promote LOOP
        SELECT l.queue INTO v_queue FROM live l
        WHERE l.state IN ('scheduled', 'retrying') AND l.queue > v_queue
        ORDER BY l.queue LIMIT 1;
        EXIT WHEN NOT FOUND;
        FOR v_part IN
            SELECT *
            FROM promote(v_now, v_queue, (p_promote - v_promoted)::integer, '-infinity', p_without)
        LOOP
            v_promoted := v_promoted + v_part.jobs;
            queue := CASE WHEN v_part.passed_over IS NULL THEN v_queue END;
            priority := v_part.priority;
            run_at := v_part.run_at;
            passed_over := v_part.passed_over;
            is_worker := false;
            fault := v_part.fault;
            RETURN NEXT;
        END LOOP;
    END LOOP;
    IF p_rescue > 0 THEN
        FOR v_part IN SELECT * FROM rescue(v_now, p_worker, p_rescue, p_without) LOOP
            v_workers_lost := v_workers_lost + v_part.workers_lost;
            v_rescued := v_rescued + v_part.rescued;
            v_died := v_died + v_part.died;
            IF v_part.queue IS NOT NULL OR v_part.passed_over IS NOT NULL
                OR v_part.finished IS NOT NULL THEN
                queue := v_part.queue;
                priority := v_part.priority;
                run_at := v_part.run_at;
                finished := v_part.finished;
                passed_over := v_part.passed_over;
                is_worker := v_part.is_worker;
                fault := v_part.fault;
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;
    IF p_prune > 0 THEN
        FOR v_part IN
            SELECT * FROM prune(
                v_now, p_prune_after, p_completed, p_cancelled, p_dead, p_window, p_prune,
                p_prune_looks, p_without
            )
        LOOP
            IF v_part.passed_over IS NULL THEN
                v_pruned := v_part.pruned;
                v_next := v_part.next;
            ELSE
                queue := NULL;
                finished := NULL;
                passed_over := v_part.passed_over;
                is_worker := v_part.is_worker;
                fault := v_part.fault;
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;
    RETURN QUERY
    SELECT NULL::text, NULL::smallint, NULL::timestamptz, v_promoted, v_workers_lost, v_rescued,
        v_died, v_pruned, v_next,
        next_due(), v_now, NULL::uuid, NULL::boolean, NULL::text, NULL::uuid;
END
$$;
