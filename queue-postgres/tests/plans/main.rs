//! The plans of a job's statements depend neither on the content of the tables nor on statistics.
//!
//! PostgreSQL explains every statement within the functions as it runs (`auto_explain`), in the
//! session and with the generic plans of a program. The tests check each on empty tables, on large
//! ones without statistics, and on large ones with statistics. No plan may scan a whole table or
//! read more rows than necessary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod explained;

use explained::{Explained, TestSchema};
use queue_testserver::url;

/// Calls of every operation, as a backend sends them, with at most 100 jobs each.
const CALLS: &[(&str, &str)] = &[
    ("register", "SELECT {s}.register(NULL, '{worker}', 'plans', '1 hour')"),
    (
        "insert",
        "SELECT {s}.insert_jobs(NULL, {ids:100}, {of:100:'handled'::text}, {of:100:'default'::text}, {of:100:0::smallint}, \
        {of:100:NULL::timestamptz}, {of:100:3}, {of:100:'60 s'::interval}, {of:100:NULL::interval}, {of:100:NULL::interval}, \
        {of:100:NULL::smallint}, {of:100:'{}'::text})",
    ),
    ("insert with free keys", INSERT_UNIQUE),
    ("insert with held keys", INSERT_UNIQUE),
    (
        "claim of jobs with keys",
        "SELECT * FROM {s}.claim(NULL, '{worker}', '{unique_claim}', 'unique', '{handled}', 50, 50, '30 s', \
        '{}', '{}', '{}', '-infinity', '{}', false)",
    ),
    (
        "settle of jobs with keys",
        "SELECT * FROM {s}.settle(NULL, ARRAY(SELECT id FROM {s}.live WHERE queue = 'unique' AND state = 'running'), \
        {of:50:'{unique_claim}'::uuid}, {of:50:NULL::bytea}, NULL, NULL, NULL, NULL)",
    ),
    (
        "cancel of jobs with keys",
        "SELECT * FROM {s}.cancel(NULL, ARRAY(SELECT id FROM {s}.live WHERE queue = 'unique'), false)",
    ),
    (
        "retry of jobs with keys",
        "SELECT * FROM {s}.retry(NULL, ARRAY(SELECT id FROM {s}.jobs WHERE queue = 'unique'))",
    ),
    ("known", "SELECT * FROM {s}.known_jobs({some}, {of:100:'{}'::text})"),
    (
        "claim from the head",
        "SELECT * FROM {s}.claim(NULL, '{worker}', '{claim}', 'default', '{handled,also-handled}', 100, 100, \
        '30 s', '{}', '{}', '{}', '-infinity', '{}', false)",
    ),
    (
        "claim one kind",
        "SELECT * FROM {s}.claim(NULL, '{worker}', '{claim}', 'default', '{handled}', 50, 50, '30 s', \
        '{}', '{}', '{}', '-infinity', '{}', false)",
    ),
    (
        "claim behind a cursor",
        "SELECT * FROM {s}.claim(NULL, '{worker}', '{claim}', 'default', '{handled}', 50, 50, '30 s', \
        '{7,0}', ARRAY[now(), now() - interval '1 hour'], {zeros:2}, now() - interval '2 s', '{}', false)",
    ),
    (
        "claim before last attempts",
        "SELECT * FROM {s}.claim(NULL, '{worker}', '{claim}', 'last', '{handled}', 50, 10, '30 s', \
        '{}', '{}', '{}', '-infinity', '{}', false)",
    ),
    (
        "insert and claim",
        "SELECT c.* FROM {s}.insert_jobs(NULL, {ids:100}, {of:100:'also-handled'::text}, {of:100:'default'::text}, \
        {of:100:0::smallint}, {of:100:NULL::timestamptz}, {of:100:3}, {of:100:'60 s'::interval}, {of:100:NULL::interval}, \
        {of:100:NULL::interval}, {of:100:NULL::smallint}, {of:100:'{}'::text}) AS entered (at) \
        CROSS JOIN LATERAL {s}.claim(entered.at, '{worker}', '{claim}', 'default', '{handled,also-handled}', 50, 50, '30 s', \
        '{}', '{}', '{}', '-infinity', '{}', false) AS c",
    ),
    ("pause", "SELECT {s}.pause('default')"),
    ("wait for claims", "SELECT {s}.await_claims('default')"),
    (
        "claim of a paused queue",
        "SELECT * FROM {s}.claim(NULL, '{worker}', '{claim}', 'default', '{handled}', 50, 50, '30 s', \
        '{}', '{}', '{}', '-infinity', '{}', false)",
    ),
    ("resume", "SELECT {s}.resume('default')"),
    ("paused", "SELECT {s}.paused()"),
    ("next ready jobs", "SELECT * FROM {s}.next_ready('{default,last,empty}')"),
    (
        "ready queues",
        "SELECT * FROM {s}.ready_queues(NULL, '{default,last,empty}', '{handled,also-handled}')",
    ),
    ("leases", "SELECT * FROM {s}.leases('{worker}', '{claim}')"),
    ("watch of running jobs", "SELECT * FROM {s}.watch({held:0:60})"),
    (
        "settle complete",
        "SELECT * FROM {s}.settle(NULL, {held:0:50}, {of:50:'{claim}'::uuid}, {of:50:NULL::bytea}, NULL, NULL, NULL, NULL)",
    ),
    (
        "settle mixed",
        "SELECT * FROM {s}.settle(NULL, {held:50:4}, {of:4:'{claim}'::uuid}, {of:4:NULL::bytea}, \
        '{retry,snooze,bury,release}', {of:4:'1 s'::interval}, {of:4:'failed'::text}, {of:4:'1 s'::interval})",
    ),
    (
        "settle lost",
        "SELECT * FROM {s}.settle(NULL, {some}, {of:100:'{claim}'::uuid}, {of:100:NULL::bytea}, NULL, NULL, NULL, NULL)",
    ),
    (
        "settle with follow-ups",
        "SELECT * FROM {s}.settle_and_insert(NULL, {held:56:4}, {of:4:'{claim}'::uuid}, {of:4:NULL::bytea}, \
        NULL, NULL, NULL, NULL, {of:100:1::bigint}, {ids:100}, {of:100:'handled'::text}, {of:100:'next'::text}, \
        {of:100:0::smallint}, {of:100:NULL::timestamptz}, {of:100:3}, {of:100:'60 s'::interval}, \
        {of:100:NULL::interval}, {of:100:NULL::interval}, {of:100:NULL::smallint}, {of:100:'{}'::text}, '{}')",
    ),
    ("watch", "SELECT * FROM {s}.watch({some})"),
    ("cancel", "SELECT * FROM {s}.cancel(NULL, {some}, true)"),
    ("watch of jobs that ended", "SELECT * FROM {s}.watch({some})"),
    ("retry", "SELECT * FROM {s}.retry(NULL, {some})"),
    ("wanted cancels", "SELECT {s}.wanted_cancels({some})"),
    (
        "heartbeat",
        "SELECT * FROM {s}.heartbeat(NULL, '{worker}', {held:54:2}, {of:2:'{claim}'::uuid}, '{1,2}', '{3,4}')",
    ),
    (
        "promote and rescue",
        "SELECT * FROM {s}.maintain(now() + interval '50 min', NULL, 100, 100, 0, 0, '{nil}', '0', '0', '0', '0', '{}')",
    ),
    (
        "rescue of a lost worker",
        "SELECT * FROM {s}.maintain(now() + interval '2 hours', NULL, 0, 100, 0, 0, '{nil}', '0', '0', '0', '0', '{}')",
    ),
    (
        "prune",
        "SELECT * FROM {s}.maintain(now() + interval '2 days', NULL, 0, 0, 100, 1000, '{nil}', '0', '0', '0', '1 hour', '{}')",
    ),
    ("retire", "SELECT {s}.retire('{worker}')"),
    ("enqueue", "SELECT {s}.enqueue('handled', '{}')"),
    (
        "enqueue_jobs",
        "SELECT * FROM {s}.enqueue_jobs('[{\"kind\": \"handled\", \"payload\": \"{}\", \"unique\": \"sql\"}]')",
    ),
    ("creation of schedules", CREATE_SCHEDULES),
    ("schedules that are due", "SELECT * FROM {s}.due_schedules(NULL, 100)"),
    ("schedules when none is due", "SELECT * FROM {s}.due_schedules(now() - interval '2 hours', 100)"),
    ("fires of schedules", FIRE_SCHEDULES),
    ("schedules by name", "SELECT * FROM {s}.read_schedules({schedules})"),
    ("list of schedules", "SELECT * FROM {s}.list_schedules('held-1', 100)"),
    (
        "deletion of schedules",
        "SELECT * FROM {s}.change_schedules(NULL, {schedules}, {of:100:'{nil}'::uuid}, {of:100:NULL::uuid}, \
        {of:100:NULL::timestamptz}, {of:100:NULL::text}, {of:100:NULL::text}, '{}', '{}', '{}', '{}', '{}', '{}', \
        '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
    ),
];

const CREATE_SCHEDULES: &str = "SELECT * FROM {s}.change_schedules(NULL, {schedules}, {of:100:NULL::uuid}, {of:100:'{nil}'::uuid}, \
    {of:100:now()}, {of:100:'{}'::text}, {of:100:'{}'::text}, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')";

const FIRE_SCHEDULES: &str = "SELECT * FROM {s}.change_schedules(NULL, {schedules}, {of:100:'{nil}'::uuid}, {of:100:'{nil}'::uuid}, \
    {of:100:now() + interval '1 hour'}, {of:100:'{}'::text}, {of:100:'{}'::text}, \
    ARRAY(SELECT place::bigint FROM generate_series(1, 100) place), {ids:100}, {of:100:'handled'::text}, {of:100:'fired'::text}, \
    {of:100:0::smallint}, {of:100:NULL::timestamptz}, {of:100:3}, {of:100:'60 s'::interval}, {of:100:NULL::interval}, \
    {of:100:NULL::interval}, {of:100:NULL::smallint}, {of:100:'{}'::text}, {of:100:NULL::text})";

const INSERT_UNIQUE: &str = "SELECT * FROM {s}.insert_unique_jobs(NULL, {ids:100}, {of:100:'handled'::text}, {of:100:'unique'::text}, \
    {of:100:0::smallint}, {of:100:NULL::timestamptz}, {of:100:3}, {of:100:'60 s'::interval}, {of:100:NULL::interval}, \
    {of:100:NULL::interval}, {of:100:NULL::smallint}, {of:100:'{}'::text}, \
    ARRAY(SELECT json_build_object('unique_key', 'new ' || key, 'unique_keep', key % 2)::text FROM generate_series(1, 100) key))";

/// Maximum number of rows in each step of these plans: a claim reads 100 jobs of each of two kinds,
/// a prune 1000.
const MAX_ROWS: f64 = 1100.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_tables_are_not_scanned() {
    let schema = TestSchema::new(&url().unwrap(), "empty").await;
    check(&schema, "empty").await;
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_are_not_scanned_or_sorted() {
    let schema = TestSchema::new(&url().unwrap(), "large").await;
    schema.fill().await;
    check(&schema, "large, never analysed").await;
    schema.run("ANALYZE").await;
    // The next statements make new plans, as in a new session.
    schema.run("DISCARD PLANS").await;
    check(&schema, "large, analysed").await;
    schema.remove().await;
}

/// A plan that was made for empty tables is also used for full ones, even if statistics showed that
/// the tables were empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_for_empty_tables_serve_large_ones() {
    for before in ["SELECT 1", "VACUUM ANALYZE"] {
        let schema = TestSchema::new(&url().unwrap(), "grown").await;
        schema.run(before).await;
        check(&schema, "empty").await;
        schema.fill().await;
        check(&schema, &format!("grown since the plans were made after {before}")).await;
        schema.remove().await;
    }
}

async fn check(schema: &TestSchema, tables: &str) {
    schema.forget_worker().await;
    for (name, call) in CALLS {
        let plans = schema.explain(call).await;
        assert!(!plans.is_empty(), "nothing was explained of `{name}`");
        let faults: Vec<String> = plans.iter().flat_map(Explained::faults).collect();
        assert!(faults.is_empty(), "`{name}` on tables that are {tables}:\n{}", faults.join("\n"));
    }
}

#[test]
fn scan_and_large_sort_are_found() {
    let node = |kind: &str, rows: u32| {
        let plan = format!(
            r#"{{"Node Type": "{kind}", "Relation Name": "live", "Actual Rows": {rows}, "Actual Loops": 1}}"#
        );
        Explained::parse(&format!(r#"duration: 1 ms plan: {{"Query Text": "SELECT 1", "Plan": {{"Node Type": "Limit", "Plans": [{plan}]}}}}"#))
            .unwrap()
            .faults()
    };
    assert_eq!(node("Index Scan", 3), Vec::<String>::new());
    assert!(node("Seq Scan", 3)[0].contains("Seq Scan of live"));
    assert!(node("Sort", 20_000)[0].contains("20000 rows"));
}
