-- Q11: retires a worker. A worker with running jobs must expire instead, so that they are rescued.
CREATE OR REPLACE FUNCTION {schema}.retire(p_worker uuid) RETURNS void
LANGUAGE plpgsql {function_settings}
AS $$
BEGIN
    PERFORM 1 FROM workers WHERE id = p_worker FOR UPDATE;
    UPDATE workers w SET state = 'retired'
    WHERE w.id = p_worker AND w.state = 'live'
        AND NOT EXISTS (SELECT 1 FROM live l WHERE l.state = 'running' AND l.worker = p_worker);
END
$$;
