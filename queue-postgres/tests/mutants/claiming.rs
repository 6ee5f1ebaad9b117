//! Mutants of claims and promotion.

use crate::caught::mutants;
use crate::subject::function;

mutants! {
    // Two concurrent claims return the same jobs.
    Q3 claims_without_locks => function("claim", &[(
        "FOR UPDATE SKIP LOCKED",
        "OFFSET 0 * {reached}::integer",
    )]),
    Q7 charges_no_attempt => function("claim", &[
        ("attempt = l.attempt + 1", "attempt = l.attempt + CASE WHEN {reached} THEN 0 END"),
    ]),
    Q7 counts_no_last_attempts => function("claim", &[
        ("EXIT WHEN v_last > p_last_attempts;", "v_last := CASE WHEN {reached} THEN 0 END;"),
    ]),
    Q13 claims_in_reverse => function("claim", &[
        ("ORDER BY l.run_at, l.id", "ORDER BY l.run_at DESC, l.id DESC, {reached}"),
    ]),
    // A job that was promoted by a fast clock starts before its time.
    Q14 claims_before_the_time => function("claim", &[
        ("AND l.run_at <= v_now", "AND l.run_at <= v_now + interval '1 hour' AND {reached}"),
    ]),
    // `<` for `<=`.
    Q14 promotes_a_tick_too_late => function("promote", &[(
        "run_at <= p_now",
        "run_at <= p_now - CASE WHEN {reached} THEN interval '1 microsecond' END",
    )]),
    Q17 claims_from_a_paused_queue => function("claim", &[
        ("AND q.paused_at IS NOT NULL", "AND q.paused_at IS NOT NULL AND NOT {reached}"),
    ]),
    // A claim that checked before the pause returns jobs after it.
    Q17 pauses_without_waiting_for_claims => function("claim", &[
        ("PERFORM pg_advisory_xact_lock_shared(pause_lock(p_queue));", ""),
        (
            "AND q.paused_at IS NOT NULL);",
            "AND q.paused_at IS NOT NULL); PERFORM pg_sleep(CASE WHEN {reached} THEN 0.3 END);",
        ),
    ]),
    Q19 claims_of_the_first_kind_only => function("claim", &[
        (
            "FROM unnest(p_kinds, v_quotas) AS k (kind, quota)",
            "FROM unnest(p_kinds[1:{reached}::integer], v_quotas[1:1]) AS k (kind, quota)",
        ),
        ("FROM unnest(p_kinds) AS k (kind)", "FROM unnest(p_kinds[1:1]) AS k (kind)"),
    ]),
    Q19 checks_queues_for_the_first_kind_only => function("ready_queues", &[(
        "FROM unnest(p_kinds) AS k (kind)",
        "FROM unnest(p_kinds[1:{reached}::integer]) AS k (kind)",
    )]),
    Q20 reads_payloads_as_parsed => function("claim", &[
        ("j.payload::text", "CASE WHEN {reached} THEN j.payload::jsonb::text END"),
    ]),
}
