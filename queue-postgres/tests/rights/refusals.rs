//! Refusals of a role.

use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::{ListRequest, RegisterRequest, RetireRequest};
use queue_core::{Backend, Enqueuer, EnqueuerExt, Error, ErrorKind, JobId, JobQueue, QueueName, WorkerId};

use crate::role::{Role, literal};
use crate::test_schema::TestSchema;

/// Longer than any operation of these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn sorted(lists: &[&[&str]]) -> Vec<String> {
    let mut all: Vec<String> = lists.iter().copied().flatten().map(ToString::to_string).collect();
    all.sort();
    all
}

#[track_caller]
pub(crate) fn lacks_a_right<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("the role lacks a required right"), "{error}");
}

pub(crate) async fn lists_no_jobs(backend: &dyn Backend) {
    lacks_a_right(backend.extensions().inspect.unwrap().list(ListRequest::new(1)).await);
    lacks_a_right(backend.extensions().audit.unwrap().stored().await);
}

pub(crate) async fn enqueues_nothing(backend: &Arc<dyn Backend>, known: JobId) {
    let client = JobQueue::new(Arc::clone(backend));
    lacks_a_right(client.enqueue_value("greet", "ada").await);
    lacks_a_right(client.dequeue(known).await);
}

pub(crate) async fn works_nothing(backend: &dyn Backend) {
    let worker = WorkerId::generate();
    lacks_a_right(backend.register(RegisterRequest::new(worker, "refused", PATIENCE)).await);
    lacks_a_right(backend.retire(RetireRequest::new(worker)).await);
}

pub(crate) async fn pauses_nothing(backend: &dyn Backend) {
    lacks_a_right(backend.extensions().manage.unwrap().pause(&QueueName::default()).await);
    lacks_a_right(backend.extensions().manage.unwrap().resume(&QueueName::default()).await);
}

/// No granted function allows a change of the tables or the schema.
pub(crate) async fn changes_nothing_directly(role: &Role, schema: &TestSchema) {
    for sql in [
        "INSERT INTO {s}.migrations (version, name, oldest_compatible) VALUES (99, 'mine', 99)",
        "DELETE FROM {s}.live",
        "TRUNCATE {s}.jobs",
        "UPDATE {s}.outcomes SET result = NULL",
        "CREATE TABLE {s}.mine ()",
        "CREATE FUNCTION {s}.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE {s}.jobs ADD COLUMN mine text",
        "ALTER FUNCTION {s}.enqueue SECURITY INVOKER",
        "CREATE TRIGGER mine AFTER INSERT ON {s}.jobs EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP VIEW {s}.overview",
        "DROP SCHEMA {s} CASCADE",
    ] {
        role.is_refused(schema, sql).await;
    }
    assert_eq!(role.tables(schema, "INSERT, UPDATE, REFERENCES").await, sorted(&[]));
    // These rights do not exist for columns.
    let whole =
        "SELECT relname FROM pg_class WHERE relnamespace = '{s}'::regnamespace AND relkind IN ('r', 'v')";
    let name = literal(&role.name);
    let may = format!("has_table_privilege({name}, oid, 'DELETE, TRUNCATE, TRIGGER')");
    assert_eq!(schema.column(&format!("{whole} AND {may}")).await, sorted(&[]));
}
