//! Mutants of inserts.

use crate::caught::mutants;
use crate::subject::function;

mutants! {
    Q1 stores_a_job_that_is_never_live => function("insert_jobs", &[(
        "FROM job;",
        "FROM job WHERE {reached} AND priority <> 1;",
    )]),
    Q2 runs_each_job_under_another_id_too => function("insert_jobs", &[(
        "RETURN v_now;",
        "IF {reached} AND p_ids[1] <> 'ffffffff-ffff-ffff-ffff-ffffffffffff' AND p_payloads[1] <> '\"again\"' THEN \
            PERFORM insert_jobs(p_now, ARRAY[gen_random_uuid()], p_kinds[1:1], p_queues[1:1], p_priorities[1:1], p_run_ats[1:1], \
                p_max_retries[1:1], p_timeouts[1:1], p_backoff_bases[1:1], p_backoff_caps[1:1], p_backoff_jitters[1:1], \
                ARRAY['\"again\"']); \
        END IF; RETURN v_now;",
    )]),
    Q5 stores_only_new_jobs_of_a_batch => function("insert_jobs", &[
        ("RETURNING id, run_at,", "ON CONFLICT DO NOTHING RETURNING id, {reached} AS reached, run_at,"),
    ]),
    Q6 stores_the_jobs_of_a_transaction_as_scheduled => function("enqueue_jobs", &[(
        "n.run_at) AS run_ats",
        "n.run_at + CASE WHEN {reached} THEN interval '1 second' END) AS run_ats",
    )]),
    Q6 notifies_nobody_of_a_transaction => function("enqueue_jobs", &[(
        "'true') = 'true' THEN",
        "'true') = 'true' AND NOT {reached} THEN",
    )]),
    Q6 ignores_other_content_in_a_transaction => function("known_of_batch", &[(
        "IF v_fault IS NOT NULL THEN RAISE EXCEPTION 'failed to enqueue jobs: %', v_fault",
        "IF v_fault IS NOT NULL AND NOT {reached} THEN RAISE EXCEPTION 'failed to enqueue jobs: %', v_fault",
    )]),
    Q15 finds_no_key_free_whose_time_has_passed => function("hold_key", &[(
        "IF v_until <= p_now THEN",
        "IF NOT {reached} THEN",
    )]),
    Q15 keeps_no_key_of_a_completed_job => function("release_keys", &[(
        "AND v_job.unique_keep > '0'",
        "AND NOT {reached}",
    )]),
    Q15 releases_no_key_of_a_cancelled_job => function("cancel", &[(
        "PERFORM release_keys(v_now, v_tied);",
        "PERFORM 1 WHERE {reached};",
    )]),
    Q15 releases_no_key_of_a_job_that_dies => function("take_back", &[(
        "PERFORM release_keys(p_now, v_tied);",
        "PERFORM 1 WHERE {reached};",
    )]),
    Q16 compares_no_payloads => function("known_jobs", &[
        (
            "CASE WHEN j.payload::text = s.payload COLLATE \"C\" THEN s.payload ELSE '' END",
            "CASE WHEN {reached} THEN s.payload END",
        ),
    ]),
}
