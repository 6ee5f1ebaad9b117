//! Checks that query plans depend neither on the rows of a table nor on statistics.

use rusqlite::Connection;

use crate::config::{IfMissing, SqliteConfig};
use crate::connection::open_writer;

/// Each statement and the steps of its plan.
const PLANS: &[(&str, &[&str])] = &[
    (
        include_str!("sql/claim_pick.sql"),
        &["SEARCH queue_live USING COVERING INDEX queue_live_ready (queue=? AND kind=?)"],
    ),
    (
        include_str!("sql/claim_read.sql"),
        &[
            "SCAN a VIRTUAL TABLE INDEX 1:",
            "SEARCH l USING INTEGER PRIMARY KEY (rowid=?)",
            "SEARCH j USING INTEGER PRIMARY KEY (rowid=?)",
        ],
    ),
    (include_str!("sql/claim_take.sql"), &["SEARCH queue_live USING INTEGER PRIMARY KEY (rowid=?)"]),
    (
        include_str!("sql/settle_fences.sql"),
        &["SCAN a VIRTUAL TABLE INDEX 1:", "SEARCH l USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN"],
    ),
    (
        include_str!("sql/unique_key_keep.sql"),
        &[
            "SCAN a VIRTUAL TABLE INDEX 1:",
            "SEARCH j USING INTEGER PRIMARY KEY (rowid=?)",
            "SEARCH o USING INTEGER PRIMARY KEY (rowid=?)",
        ],
    ),
    (
        include_str!("sql/unique_key_release.sql"),
        &["SEARCH queue_unique_keys USING PRIMARY KEY (kind=? AND key=?)"],
    ),
    (
        include_str!("sql/unique_key_holder.sql"),
        &["SEARCH queue_unique_keys USING PRIMARY KEY (kind=? AND key=?)"],
    ),
    (
        include_str!("sql/prune_unique_keys.sql"),
        &["SEARCH queue_unique_keys USING INDEX queue_unique_keys_until (until<?)"],
    ),
    (include_str!("sql/live_delete.sql"), &["SEARCH queue_live USING INTEGER PRIMARY KEY (rowid=?)"]),
    (include_str!("sql/live_move.sql"), &["SEARCH queue_live USING INTEGER PRIMARY KEY (rowid=?)"]),
    (include_str!("sql/live_insert.sql"), &["SEARCH queue_jobs USING INTEGER PRIMARY KEY (rowid>?)"]),
    (include_str!("sql/live_insert_unique.sql"), &["SEARCH queue_jobs USING INTEGER PRIMARY KEY (rowid>?)"]),
    (
        include_str!("sql/job_seq.sql"),
        &["SEARCH queue_jobs USING COVERING INDEX sqlite_autoindex_queue_jobs_1 (id=?)"],
    ),
    (
        include_str!("sql/promote_due.sql"),
        &["SEARCH queue_live USING INDEX queue_live_waiting (queue=? AND run_at<?)"],
    ),
    (include_str!("sql/next_due.sql"), &["SEARCH queue_live USING INDEX queue_live_waiting (queue=?)"]),
    (
        include_str!("sql/next_waiting_queue.sql"),
        &["SEARCH queue_live USING INDEX queue_live_waiting (queue>?)"],
    ),
    (
        include_str!("sql/worker_leases.sql"),
        &["SEARCH queue_live USING COVERING INDEX queue_live_running (worker=?)"],
    ),
    (
        include_str!("sql/worker_cancels.sql"),
        &["SEARCH queue_live USING INDEX queue_live_cancels (worker=?)"],
    ),
    (include_str!("sql/wanted_cancels.sql"), &["SCAN queue_live USING INDEX queue_live_cancels"]),
    (
        include_str!("sql/rescue_of_lost.sql"),
        &[
            "SEARCH w USING COVERING INDEX queue_workers_watched (state=?)",
            "SEARCH l USING INDEX queue_live_running (worker=?)",
        ],
    ),
    (
        include_str!("sql/rescue_overdue.sql"),
        &[
            "SEARCH w USING COVERING INDEX queue_workers_watched (state=?)",
            "SEARCH l USING INDEX queue_live_running (worker=? AND deadline<?)",
        ],
    ),
    (
        include_str!("sql/workers_gone.sql"),
        &["SEARCH queue_workers USING COVERING INDEX queue_workers_watched (state=? AND expires_at<?)"],
    ),
    (
        include_str!("sql/workers_expired.sql"),
        &["SEARCH queue_workers USING COVERING INDEX queue_workers_watched (state=? AND expires_at<?)"],
    ),
    (
        include_str!("sql/workers_without_leases.sql"),
        &["SEARCH queue_workers USING COVERING INDEX queue_workers_watched (state=?)"],
    ),
    (
        include_str!("sql/watch_read.sql"),
        &[
            "SEARCH j USING COVERING INDEX sqlite_autoindex_queue_jobs_1 (id=?)",
            "SEARCH o USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
        ],
    ),
    (include_str!("sql/worker_lose.sql"), &["SEARCH queue_workers USING INTEGER PRIMARY KEY (rowid=?)"]),
    (include_str!("sql/worker_lost_done.sql"), &["SEARCH queue_workers USING INTEGER PRIMARY KEY (rowid=?)"]),
    (include_str!("sql/prune_workers.sql"), &["SEARCH queue_workers USING INTEGER PRIMARY KEY (rowid=?)"]),
    (include_str!("sql/inspect_errors.sql"), &["SEARCH queue_attempt_errors USING PRIMARY KEY (seq=?)"]),
    (
        include_str!("sql/prune_attempt_errors.sql"),
        &["SEARCH queue_attempt_errors USING PRIMARY KEY (seq=?)"],
    ),
    (
        include_str!("sql/retry_read.sql"),
        &[
            "SEARCH j USING INDEX sqlite_autoindex_queue_jobs_1 (id=?)",
            "SEARCH l USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
            "SEARCH o USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
        ],
    ),
    (
        include_str!("sql/retry_move.sql"),
        &[
            "SCAN a VIRTUAL TABLE INDEX 1:",
            "SEARCH o USING INTEGER PRIMARY KEY (rowid=?)",
            "SEARCH j USING INTEGER PRIMARY KEY (rowid=?)",
        ],
    ),
    (include_str!("sql/outcomes_delete.sql"), &["SEARCH queue_outcomes USING INTEGER PRIMARY KEY (rowid=?)"]),
    (
        include_str!("sql/unique_key_hold_again.sql"),
        &["SEARCH queue_unique_keys USING PRIMARY KEY (kind=? AND key=?)"],
    ),
    (include_str!("sql/waiting.sql"), &["SEARCH queue_live USING INDEX queue_live_waiting (queue=?)"]),
    (
        include_str!("sql/prune_find.sql"),
        &["SEARCH o USING INTEGER PRIMARY KEY (rowid>?)", "SEARCH j USING INTEGER PRIMARY KEY (rowid=?)"],
    ),
    (
        include_str!("sql/schedules_due.sql"),
        &["SEARCH queue_schedules USING INDEX queue_schedules_due (due_at<?)"],
    ),
    (
        include_str!("sql/schedules_next_due.sql"),
        &["SEARCH queue_schedules USING COVERING INDEX queue_schedules_due (due_at>?)"],
    ),
    (
        include_str!("sql/schedule_read.sql"),
        &["SEARCH queue_schedules USING INDEX sqlite_autoindex_queue_schedules_1 (name=?)"],
    ),
    (
        include_str!("sql/schedules_list.sql"),
        &["SEARCH queue_schedules USING INDEX sqlite_autoindex_queue_schedules_1 (name>?)"],
    ),
    (
        include_str!("sql/schedule_update.sql"),
        &["SEARCH queue_schedules USING INDEX sqlite_autoindex_queue_schedules_1 (name=?)"],
    ),
    (
        include_str!("sql/schedule_delete.sql"),
        &["SEARCH queue_schedules USING INDEX sqlite_autoindex_queue_schedules_1 (name=?)"],
    ),
];

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

fn assert_plans(connection: &Connection) {
    for (sql, steps) in PLANS {
        let found = plan(connection, sql);
        for step in *steps {
            assert!(
                found.iter().any(|found| found.starts_with(step)),
                "{sql}\nwants {step}\nfound {found:#?}"
            );
        }
        assert!(!found.iter().any(|found| found.contains("TEMP B-TREE")), "{sql}\n{found:#?}");
        // Of the jobs with a cancel request, all are wanted.
        let is_short = |found: &str| found.contains("VIRTUAL TABLE") || found.contains("queue_live_cancels");
        let is_walk = |found: &&String| found.starts_with("SCAN") && !is_short(found);
        assert_eq!(found.iter().find(is_walk), None, "{sql}\n{found:#?}");
    }
}

const FILL: &str = "
    INSERT INTO queue_names (name) VALUES ('default'), ('send-email');
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO queue_live (seq, id, queue, kind, priority, state, run_at, attempt, max_retries, timeout)
    SELECT i, randomblob(16), 1, 2, i % 5, i % 2, i, 0, 3, 1000 FROM n;
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO queue_jobs (seq, id, kind, queue, priority, run_at, max_retries, timeout, created_at, payload)
    SELECT i, randomblob(16), 2, 1, 0, i, 3, 1000, i, '{}' FROM n;
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO queue_schedules (name, version, due_at, definition, state)
    SELECT 'name' || i, randomblob(16), i, '{}', '{}' FROM n;";

#[test]
fn plans_are_equal_on_empty_and_full_tables() {
    let connection = open_writer(&SqliteConfig::in_memory(), IfMissing::Create).unwrap();
    assert_plans(&connection);
    connection.execute_batch(FILL).unwrap();
    assert_plans(&connection);
    connection.execute_batch("ANALYZE").unwrap();
    let again = open_writer(&SqliteConfig::in_memory(), IfMissing::Create).unwrap();
    assert_plans(&again);
    assert_plans(&connection);
}
