//! Mutants of settle, heartbeat and cancel.

use crate::caught::mutants;
use crate::subject::function;

mutants! {
    Q4 settles_without_the_claim => function("settle", &[("AND l.claim = s.claim", "AND {reached}")]),
    Q4 forgets_the_claim_that_ended_a_job => function("settle", &[(
        "AND o.claim = s.claim",
        "AND NOT {reached}",
    )]),
    // The row has no worker any more when the statement has ended its lease.
    Q4 records_no_worker_of_a_retry => function("settle", &[(
        "(SELECT l.worker FROM live l WHERE l.id = m.id)",
        "(SELECT l.worker FROM live l WHERE l.id = m.id AND NOT {reached})",
    )]),
    Q4 stores_progress_without_the_claim => function("heartbeat", &[(
        "AND l.claim = s.claim",
        "AND {reached}",
    )]),
    Q7 refunds_no_attempt => function("settle", &[(
        "ELSE l.attempt - 1 END",
        "ELSE l.attempt - CASE WHEN {reached} THEN 0 END END",
    )]),
    Q9 cancels_running_jobs => function("cancel", &[
        (
            "l.id = ANY (p_jobs) AND l.state <> 'running' RETURNING",
            "l.id = ANY (p_jobs) AND {reached} RETURNING",
        ),
    ]),
    Q9 sees_no_finished_jobs => function("cancel", &[(
        "coalesce(l.state, o.state)::text",
        "CASE WHEN {reached} THEN l.state END::text",
    )]),
    Q10 stores_no_result => function("settle", &[
        ("'completed', result FROM ended", "'completed', CASE WHEN NOT {reached} THEN result END FROM ended"),
    ]),
    Q10 forgets_a_watch_at_a_retry => function("settle", &[(
        "claim = NULL, worker = NULL, deadline = NULL, progress_done = NULL",
        "ties = CASE WHEN NOT {reached} THEN l.ties END, claim = NULL, worker = NULL, deadline = NULL, progress_done = NULL",
    )]),
    Q10 announces_no_cancel_of_a_watched_job => function("cancel", &[(
        "s.job = ANY (coalesce(v_watched, '{}'))",
        "(s.job = ANY (coalesce(v_watched, '{}')) AND NOT {reached})",
    )]),
    Q10 announces_no_watched_job_that_dies => function("take_back", &[(
        "FROM unnest(v_watched) AS w (job)",
        "FROM unnest(v_watched) AS w (job) WHERE NOT {reached}",
    )]),
    Q10 strands_a_job_that_was_watched_during_a_claim => function("watch", &[(
        "m.state = 'ready'",
        "m.state = 'ready' AND NOT {reached}",
    )]),
    Q10 watches_without_a_mark => function("watch", &[(
        "SET ties = coalesce(l.ties, 0) | 2",
        "SET ties = coalesce(l.ties, 0) | CASE WHEN {reached} THEN 0 END",
    ), (
        "l.id IS NOT NULL AND coalesce(l.ties & 2, 0) = 0",
        "false",
    )]),
    Q6 stores_the_follow_ups_of_a_lost_lease => function("settle_and_insert", &[
        ("IF NOT p_parents && v_held THEN", "IF NOT {reached} THEN"),
        ("WHERE n.parent = ANY (v_held) ) a", "WHERE {reached} ) a"),
    ]),
    Q6 announces_no_follow_up => function("settle_and_insert", &[(
        "AND n.id <> ALL (v_duplicates) GROUP BY",
        "AND NOT {reached} GROUP BY",
    )]),
    Q6 stores_no_follow_ups_in_a_transaction => function("complete_job", &[(
        "IF json_array_length(v_jobs) > 0 THEN",
        "IF json_array_length(v_jobs) > 0 AND NOT {reached} THEN",
    )]),
    Q10 completes_in_a_transaction_without_the_lease => function("complete_job", &[(
        "IF v_end.ends THEN",
        "IF v_end.ends AND NOT {reached} THEN",
    )]),
    Q10 announces_no_end_in_a_transaction => function("complete_job", &[(
        "json_build_object('finished',",
        "json_build_object(CASE WHEN {reached} THEN 'other' END,",
    )]),
}
