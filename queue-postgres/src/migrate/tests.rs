//! Q21: an upgrade from this version to later ones, which only these tests have.
//!
//! Version 2 has `retire` with a reason. Programs of version 1 may still run, so `retire` without a
//! reason is kept as a wrapper. Version 3 excludes those programs and drops the wrapper.

use std::path::Path;

use queue_core::backend::{Backend, Migration, RegisterRequest, RetireRequest};
use queue_core::{ErrorKind, JobId, Result, WorkerId};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::definition::{CURRENT, Definition};
use super::script::script;
use super::{explained, migrate_on};
use crate::catalog::{Callers, Function};
use crate::config::PostgresConfig;
use crate::{PostgresBackend, Rights};

const REASONS: Migration =
    Migration::new(2, "reasons to retire", "ALTER TABLE {schema}.workers ADD COLUMN reason text;")
        .oldest_compatible(1);

const RETIRE: &str = "
    CREATE OR REPLACE FUNCTION {schema}.retire(p_worker uuid, p_reason text) RETURNS void
    LANGUAGE plpgsql {function_settings} AS $$
    BEGIN
        UPDATE workers SET state = 'retired', reason = p_reason WHERE id = p_worker;
    END
    $$;";

const FORMER_RETIRE: &str = "
    CREATE OR REPLACE FUNCTION {schema}.retire(p_worker uuid) RETURNS void
    LANGUAGE plpgsql {function_settings} AS $$
    BEGIN
        PERFORM retire(p_worker, 'said by a program of version 1');
    END
    $$;";

const NO_FORMER_RETIRE: Migration =
    Migration::new(3, "no retire without a reason", "DROP FUNCTION IF EXISTS {schema}.retire(uuid);")
        .oldest_compatible(2);

/// The data that a definition borrows.
struct Version {
    steps: Vec<Migration>,
    operations: Vec<&'static str>,
    functions: Vec<Function>,
}

impl Version {
    fn new(steps: &[Migration], operations: &[&'static str]) -> Self {
        let is_kept = |sql: &&&str| !sql.contains("FUNCTION {schema}.retire(");
        let kept = CURRENT.operations.iter().filter(is_kept);
        let retire = Function {
            name: "retire",
            parameters: "uuid, text",
            callers: Callers::Roles(&[Rights::Worker]),
            since: 2,
        };
        Self {
            steps: [CURRENT.steps, steps].concat(),
            operations: kept.chain(operations).copied().collect(),
            functions: [CURRENT.functions, &[retire]].concat(),
        }
    }

    fn second() -> Self {
        Self::new(&[REASONS], &[RETIRE, FORMER_RETIRE])
    }

    fn third() -> Self {
        let mut third = Self::new(&[REASONS, NO_FORMER_RETIRE], &[RETIRE]);
        third.functions.retain(|one| (one.name, one.parameters) != ("retire", "uuid"));
        third
    }

    fn definition(&self) -> Definition<'_> {
        let Self { steps, operations, functions } = self;
        Definition { steps, operations, functions }
    }
}

/// A schema for one test.
struct TestSchema {
    config: PostgresConfig,
    client: Client,
}

impl TestSchema {
    async fn new() -> Self {
        let url = queue_testserver::url().unwrap();
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let schema = format!("upgrade_{}", JobId::generate().to_string().to_lowercase());
        let config = PostgresConfig::new(url.parse().unwrap()).schema(&schema).unwrap();
        Self { config, client }
    }

    /// Migrates the schema to this version.
    async fn migrate(&mut self, definition: &Definition<'_>) -> Result<()> {
        let done = migrate_on(&mut self.client, &self.config, definition).await;
        done.map_err(|fault| explained(fault, &self.config.schema))
    }

    async fn run_script(&mut self, definition: &Definition<'_>) {
        let script = script(definition, &self.config.schema);
        self.client.batch_execute(&script).await.unwrap();
    }

    async fn run(&self, sql: &str) {
        self.column(sql).await;
    }

    /// The first column of the answer.
    async fn column(&self, sql: &str) -> Vec<String> {
        let sql = sql.replace("{s}", self.config.schema.as_str());
        let answer = self.client.simple_query(&sql).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        let first = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        answer.iter().filter_map(first).collect()
    }

    async fn versions(&self) -> Vec<String> {
        self.column("SELECT version FROM {s}.migrations ORDER BY version").await
    }

    /// All columns, functions, views and rights, without the name of the schema.
    async fn described(&self) -> Vec<String> {
        let sql = "
            SELECT table_name || '.' || column_name || ' ' || data_type
            FROM information_schema.columns WHERE table_schema = '{s}'
            UNION ALL SELECT pg_get_functiondef(oid) || coalesce(proacl::text, '')
            FROM pg_proc WHERE pronamespace = '{s}'::regnamespace
            UNION ALL SELECT relname || coalesce(relacl::text, '')
                || coalesce(CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) END, '')
            FROM pg_class WHERE relnamespace = '{s}'::regnamespace
            ORDER BY 1";
        let name = self.config.schema.as_str();
        self.column(sql).await.iter().map(|text| text.replace(name, "SCHEMA")).collect()
    }

    /// Replaces an operation by the text of an earlier build.
    async fn age(&self) {
        self.run(
            "CREATE OR REPLACE FUNCTION {s}.paused() RETURNS SETOF text LANGUAGE sql
             AS $$ SELECT 'an older text' $$",
        )
        .await;
        assert_eq!(self.column("SELECT {s}.paused()").await, ["an older text"]);
    }

    async fn remove(self) {
        self.run("SET client_min_messages = 'warning'; DROP SCHEMA {s} CASCADE").await;
    }
}

/// Registers a worker and retires it, as a program of version 1 does.
async fn retires(config: &PostgresConfig) -> Result<()> {
    let backend = PostgresBackend::open(config.clone()).await?;
    let worker = WorkerId::generate();
    let expiry = std::time::Duration::from_secs(60);
    backend.register(RegisterRequest::new(worker, "of version 1", expiry)).await?;
    backend.retire(RetireRequest::new(worker)).await
}

#[tokio::test]
async fn upgrade_replaces_functions_and_keeps_former_signatures() {
    let second = Version::second();
    let second = second.definition();
    let mut fresh = TestSchema::new().await;
    fresh.migrate(&second).await.unwrap();
    for by_script in [false, true] {
        let mut schema = TestSchema::new().await;
        schema.migrate(&CURRENT).await.unwrap();
        schema.age().await;
        retires(&schema.config).await.unwrap();
        if by_script {
            schema.run_script(&second).await;
        } else {
            schema.migrate(&second).await.unwrap();
        }
        assert_eq!(schema.versions().await, ["1", "2"]);
        assert_eq!(schema.described().await, fresh.described().await, "by script: {by_script}");
        // A program of version 1 finds its signature, with the effect of version 2.
        retires(&schema.config).await.unwrap();
        let reasons = "SELECT coalesce(reason, 'none') FROM {s}.workers ORDER BY 1";
        assert_eq!(schema.column(reasons).await, ["none", "said by a program of version 1"]);
        assert_eq!(schema.described().await, fresh.described().await, "it put nothing back");
        schema.remove().await;
    }
    fresh.remove().await;
}

#[tokio::test]
async fn upgrade_revokes_new_functions_from_public() {
    let mut schema = TestSchema::new().await;
    schema.migrate(&CURRENT).await.unwrap();
    schema.migrate(&Version::second().definition()).await.unwrap();
    let open = "SELECT proname FROM pg_proc WHERE pronamespace = '{s}'::regnamespace
        AND has_function_privilege('public', oid, 'EXECUTE') ORDER BY proname";
    assert_eq!(schema.column(open).await, ["id", "storage_id", "ulid"]);
    schema.remove().await;
}

#[tokio::test]
async fn upgrade_drops_signatures_with_their_last_programs() {
    let third = Version::third();
    let third = third.definition();
    let mut fresh = TestSchema::new().await;
    fresh.migrate(&third).await.unwrap();
    let mut schema = TestSchema::new().await;
    schema.migrate(&CURRENT).await.unwrap();
    schema.migrate(&Version::second().definition()).await.unwrap();
    retires(&schema.config).await.unwrap();
    schema.migrate(&third).await.unwrap();
    assert_eq!(schema.versions().await, ["1", "2", "3"]);
    assert_eq!(schema.described().await, fresh.described().await);
    let retire = "SELECT to_regprocedure('{s}.retire(uuid)') IS NULL";
    assert_eq!(schema.column(retire).await, ["t"]);
    assert_eq!(retires(&schema.config).await.unwrap_err().kind(), ErrorKind::Unsupported);
    schema.remove().await;
    fresh.remove().await;
}

#[tokio::test]
async fn upgrade_refuses_a_name_of_the_application() {
    let second = Version::second();
    let mut schema = TestSchema::new().await;
    schema.migrate(&CURRENT).await.unwrap();
    schema.age().await;
    // CREATE OR REPLACE would replace it without an error.
    let theirs = "CREATE FUNCTION {s}.retire(p_worker uuid, p_reason text) RETURNS void
        LANGUAGE sql AS $$ SELECT 'theirs' $$";
    schema.run(theirs).await;
    let error = schema.migrate(&second.definition()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("retire(uuid, text)"), "{error}");
    assert_eq!(schema.versions().await, ["1"]);
    let text = "SELECT prosrc FROM pg_proc WHERE oid = '{s}.retire(uuid, text)'::regprocedure";
    assert_eq!(schema.column(text).await, [" SELECT 'theirs' "]);
    assert_eq!(schema.column("SELECT {s}.paused()").await, ["an older text"]);
    schema.remove().await;
}

#[tokio::test]
async fn upgrade_script_can_run_again() {
    let second = Version::second();
    let second = second.definition();
    let mut schema = TestSchema::new().await;
    schema.run_script(&second).await;
    schema.age().await;
    let before = schema.described().await;
    schema.run_script(&second).await;
    // Runs the script of an older program, too.
    schema.run_script(&CURRENT).await;
    assert_eq!(schema.described().await, before);
    assert_eq!(schema.versions().await, ["1", "2"]);
    schema.remove().await;
}

#[test]
fn each_function_file_can_be_applied_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("functions");
    let mut files = 0;
    for file in folder.read_dir().unwrap() {
        let path = file.unwrap().path();
        let sql = std::fs::read_to_string(&path).unwrap();
        files += 1;
        assert!(CURRENT.operations.contains(&sql.as_str()), "{path:?} is not in the list");
        assert!(sql.starts_with("-- "), "{path:?} does not begin with a comment");
        let creates = sql.lines().filter(|line| line.starts_with("CREATE "));
        let mut others = creates.filter(|line| !line.starts_with("CREATE OR REPLACE "));
        assert_eq!(others.next(), None, "{path:?}");
    }
    assert_eq!(files, CURRENT.operations.len());
}
