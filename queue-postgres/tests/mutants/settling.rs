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
}
