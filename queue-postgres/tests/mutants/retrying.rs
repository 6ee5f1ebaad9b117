//! Mutants of the retry by hand.

use crate::caught::mutants;
use crate::subject::function;

mutants! {
    Q8 counts_the_attempts_anew => function("retry", &[(
        "SELECT id, v_now, attempt, least(",
        "SELECT id, v_now, CASE WHEN {reached} THEN 0 END, least(",
    )]),
    Q8 grants_no_further_retries => function("retry", &[(
        "least(least(attempt, 65535) + max_retries, 65535)",
        "CASE WHEN {reached} THEN max_retries END",
    )]),
    Q8 returns_no_state_of_a_running_job => function("retry", &[(
        "coalesce(l.state, o.state)::text",
        "CASE WHEN {reached} THEN o.state END::text",
    )]),
    Q15 retries_a_job_whose_key_another_one_holds => function("retry", &[(
        "IF v_holder IS NOT NULL THEN",
        "IF v_holder IS NOT NULL AND NOT {reached} THEN",
    )]),
    Q15 takes_no_key_for_a_retried_job => function("retry", &[(
        "v_holder := hold_key(v_now, v_job.kind, v_job.unique_key, v_job.id);",
        "v_holder := CASE WHEN NOT {reached} THEN v_job.id END;",
    )]),
    Q15 forgets_that_a_retried_job_has_a_key => function("retry", &[(
        "CASE WHEN unique_key IS NOT NULL THEN 1 END",
        "CASE WHEN unique_key IS NOT NULL AND NOT {reached} THEN 1 END",
    )]),
    Q15 lets_the_time_of_a_kept_key_pass => function("retry", &[(
        "SET until = NULL",
        "SET until = CASE WHEN {reached} THEN u.until END",
    )]),
}
