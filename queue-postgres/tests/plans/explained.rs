//! A session in which the server explains each statement as it runs.

use std::future::poll_fn;

use queue_core::JobId;
use queue_postgres::tokio_postgres::{AsyncMessage, Client, NoTls, connect};
use queue_postgres::{PostgresBackend, PostgresConfig};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::MAX_ROWS;

const NIL: &str = "00000000-0000-0000-0000-000000000000";
const WORKER: &str = "00000000-0000-0000-0000-0000000000aa";
const CLAIM: &str = "00000000-0000-0000-0000-0000000000cc";
const UNIQUE_CLAIM: &str = "00000000-0000-0000-0000-0000000000dd";

/// The names of some schedules.
const SCHEDULES: &str = "ARRAY(SELECT 'held-' || key FROM generate_series(1, 100) key)";

/// Explains every statement, including those within functions, with its actual rows.
const EXPLAIN: &str = "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; \
    SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off; SET auto_explain.log_format = 'json'; \
    SET client_min_messages = 'log'";

/// A backlog with future, unhandled and finished jobs, which must not slow down a claim.
const FILL: &str = "
    SELECT {s}.insert_jobs(NULL, {ids:20000}, {of:20000:'handled'::text}, {of:20000:'default'::text}, {of:20000:0::smallint},
        {of:20000:NULL::timestamptz}, {of:20000:3}, {of:20000:'60 s'::interval}, {of:20000:NULL::interval}, {of:20000:NULL::interval},
        {of:20000:NULL::smallint}, {of:20000:'{}'::text});
    SELECT {s}.insert_jobs(NULL, {ids:20000}, {of:20000:'unhandled'::text}, {of:20000:'default'::text}, {of:20000:9::smallint},
        {of:20000:NULL::timestamptz}, {of:20000:3}, {of:20000:'60 s'::interval}, {of:20000:NULL::interval}, {of:20000:NULL::interval},
        {of:20000:NULL::smallint}, {of:20000:'{}'::text});
    SELECT {s}.insert_jobs(NULL, {ids:20000}, {of:20000:'handled'::text}, {of:20000:'default'::text}, {of:20000:9::smallint},
        {of:20000:now() + interval '1 day'}, {of:20000:3}, {of:20000:'60 s'::interval}, {of:20000:NULL::interval}, {of:20000:NULL::interval},
        {of:20000:NULL::smallint}, {of:20000:'{}'::text});
    SELECT {s}.insert_jobs(NULL, {ids:5000}, {of:5000:'handled'::text}, {of:5000:'last'::text}, {of:5000:0::smallint},
        {of:5000:NULL::timestamptz}, {of:5000:0}, {of:5000:'60 s'::interval}, {of:5000:NULL::interval}, {of:5000:NULL::interval},
        {of:5000:NULL::smallint}, {of:5000:'{}'::text});
    SELECT {s}.insert_jobs(now() - interval '1 hour', {ids:20000}, {of:20000:'handled'::text}, {of:20000:'done'::text}, {of:20000:0::smallint},
        {of:20000:NULL::timestamptz}, {of:20000:3}, {of:20000:'60 s'::interval}, {of:20000:NULL::interval}, {of:20000:NULL::interval},
        {of:20000:NULL::smallint}, {of:20000:'{}'::text});
    SELECT {s}.cancel(NULL, ARRAY(SELECT id FROM {s}.live WHERE queue = 'done'), false);
    INSERT INTO {s}.unique_keys
    SELECT 'handled', 'held ' || key, {s}.new_id(now()), now() + make_interval(days => nullif(key % 3, 0))
    FROM generate_series(1, 20000) key;
    INSERT INTO {s}.schedules (name, version, due_at, definition, state)
    SELECT 'held-' || key, '{nil}', now() + (key % 40 - 20) * interval '1 min', '{}', '{}'
    FROM generate_series(1, 20000) key";

/// A schema with a session on it.
pub(crate) struct TestSchema {
    name: String,
    client: Client,
    notices: Mutex<UnboundedReceiver<String>>,
}

impl TestSchema {
    pub(crate) async fn new(url: &str, name: &str) -> Self {
        let name = format!("plans_{name}_{}", JobId::generate().to_string().to_lowercase());
        let config = PostgresConfig::from_url(url).unwrap().schema(&name).unwrap();
        drop(PostgresBackend::open(config).await.unwrap());
        let (client, mut connection) = connect(url, NoTls).await.unwrap();
        let (sender, notices) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message {
                    let _ = sender.send(notice.message().to_owned());
                }
            }
        });
        let schema = Self { name, client, notices: Mutex::new(notices) };
        // Only the tests' own statements may collect statistics.
        schema.run("ALTER TABLE {s}.live SET (autovacuum_enabled = off); ALTER TABLE {s}.jobs SET (autovacuum_enabled = off); \
            ALTER TABLE {s}.outcomes SET (autovacuum_enabled = off); ALTER TABLE {s}.unique_keys SET (autovacuum_enabled = off); \
            ALTER TABLE {s}.schedules SET (autovacuum_enabled = off)").await;
        schema.run(EXPLAIN).await;
        schema
    }

    pub(crate) async fn fill(&self) {
        self.run("SET auto_explain.log_min_duration = -1").await;
        self.run(FILL).await;
        self.run("SET auto_explain.log_min_duration = 0").await;
    }

    /// Removes the worker, so that the same one can register again.
    pub(crate) async fn forget_worker(&self) {
        self.run("DELETE FROM {s}.workers").await;
    }

    pub(crate) async fn remove(self) {
        self.run("SET client_min_messages = 'warning'; DROP SCHEMA {s} CASCADE").await;
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(&self.filled(sql)).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }

    /// Returns the plans of all statements that the call runs.
    pub(crate) async fn explain(&self, call: &str) -> Vec<Explained> {
        let call = self.filled(call);
        let mut notices = self.notices.lock().await;
        while notices.try_recv().is_ok() {}
        // All notices of a statement arrive before its answer.
        self.client.simple_query(&call).await.unwrap_or_else(|error| panic!("{error:?}: {call}"));
        let mut plans = Vec::new();
        while let Ok(text) = notices.try_recv() {
            plans.extend(Explained::parse(&text));
        }
        // Statements of the test create the arguments; skips their plans.
        plans.retain(|plan| !plan.query.contains(&call[..40.min(call.len())]));
        plans
    }

    fn filled(&self, sql: &str) -> String {
        let mut text = sql
            .replace("{s}", &self.name)
            .replace("{worker}", WORKER)
            .replace("{claim}", CLAIM)
            .replace("{unique_claim}", UNIQUE_CLAIM)
            .replace("{nil}", NIL)
            .replace("{schedules}", SCHEDULES);
        text = text
            .replace("{some}", &format!("ARRAY(SELECT id FROM {}.jobs ORDER BY id LIMIT 100)", self.name));
        while let Some((start, end)) = hole(&text) {
            let parts: Vec<&str> = text[start + 1..end].splitn(3, ':').collect();
            let value = match parts[..] {
                ["ids", many] => format!(
                    "ARRAY(SELECT {}.new_id(clock_timestamp()) FROM generate_series(1, {many}))",
                    self.name
                ),
                ["of", many, value] => format!("array_fill({value}, ARRAY[{many}])"),
                ["zeros", many] => format!("array_fill('{NIL}'::uuid, ARRAY[{many}])"),
                ["held", from, many] => format!(
                    "ARRAY(SELECT id FROM {}.live WHERE state = 'running' ORDER BY id OFFSET {from} LIMIT {many})",
                    self.name
                ),
                _ => panic!("no such hole: {parts:?}"),
            };
            text.replace_range(start..=end, &value);
        }
        text
    }
}

/// The next `{name:…}`, which may contain braces.
fn hole(text: &str) -> Option<(usize, usize)> {
    let start = ["{ids:", "{of:", "{zeros:", "{held:"].iter().filter_map(|name| text.find(name)).min()?;
    let mut depth = 0;
    for (index, letter) in text[start..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((start, start + index));
        }
    }
    None
}

/// One statement and its plan with actual rows.
#[derive(Debug)]
pub(crate) struct Explained {
    query: String,
    plan: Value,
}

impl Explained {
    /// Parses a notice of `auto_explain`; `None` for any other notice.
    pub(crate) fn parse(notice: &str) -> Option<Self> {
        let (_, json) = notice.split_once("plan:")?;
        let mut whole: Value = serde_json::from_str(json).unwrap();
        let query = whole["Query Text"].as_str().unwrap_or_default().to_owned();
        Some(Self { query, plan: whole["Plan"].take() })
    }

    /// The faults of the plan.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.look(&self.plan, &mut faults);
        faults
    }

    fn look(&self, node: &Value, faults: &mut Vec<String>) {
        let kind = node["Node Type"].as_str().unwrap_or_default();
        let number = |key: &str| node[key].as_f64().unwrap_or_default();
        let touched = (number("Actual Rows")
            + number("Rows Removed by Filter")
            + number("Rows Removed by Index Recheck"))
            * number("Actual Loops").max(1.0);
        let relation = node["Relation Name"].as_str().unwrap_or_default();
        let mut fault = |what: String| faults.push(format!("  {what}\n    in: {}", self.query.trim()));
        if kind == "Seq Scan" {
            fault(format!("a Seq Scan of {relation}"));
        }
        if touched > MAX_ROWS {
            fault(format!("a {kind} {relation} touches {touched} rows"));
        }
        for child in node["Plans"].as_array().into_iter().flatten() {
            self.look(child, faults);
        }
    }
}
