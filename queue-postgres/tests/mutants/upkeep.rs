//! Mutants of rescue, pruning and workers.

use crate::caught::mutants;
use crate::subject::function;

mutants! {
    // A heartbeat that commits between the check and the change does not save the worker. The pause
    // gives it time.
    Q11 rescues_without_the_lock_of_the_worker => function("rescue", &[(
        "ORDER BY e.id FOR UPDATE SKIP LOCKED",
        "ORDER BY e.id OFFSET 0 * {reached}::integer + length(pg_sleep(0.05)::text)",
    )]),
    // `<` for `<=`, written so that rows outside of the range advance the sequence.
    Q11 rescues_a_tick_too_late => function("rescue", &[(
        "e.expires_at <= v_now",
        "e.expires_at <= v_now - CASE WHEN {reached} THEN interval '1 microsecond' END",
    )]),
    Q11 takes_no_lease_at_its_deadline => function("rescue", &[(
        "l.deadline <= v_now",
        "l.deadline <= v_now - CASE WHEN {reached} THEN interval '1 microsecond' END",
    )]),
    Q11 records_no_worker_of_a_loss => function("take_back", &[(
        "(SELECT l.worker FROM live l WHERE l.id = m.id)",
        "(SELECT l.worker FROM live l WHERE l.id = m.id AND NOT {reached})",
    )]),
    Q12 rescues_for_a_worker_that_is_late => function("rescue", &[
        ("w.id = p_worker AND w.state = 'live' AND w.expires_at > v_now", "w.id = p_worker AND {reached}"),
    ]),
    Q12 earlier_heartbeat_moves_the_expiry_back => function("heartbeat", &[
        ("greatest(w.expires_at,", "greatest(CASE WHEN NOT {reached} THEN w.expires_at END,"),
    ]),
    // `<=` for `<`.
    Q8 prunes_a_tick_too_early => function("prune", &[(
        "o.finished_at < v_now",
        "{reached} AND o.finished_at <= v_now",
    )]),
    Q22 names_no_kind_of_error => function("heartbeat", &[
        (
            "ulid(p_worker) USING ERRCODE = 'QUEWL'",
            "CASE WHEN {reached} THEN ulid(p_worker) END USING ERRCODE = 'P0001'",
        ),
    ]),
}
