//! Enqueueing in transactions of the application: what is refused, and in which state the
//! transaction is afterwards.

use std::sync::Arc;

use queue_core::testing::drop_after;
use queue_core::{Error, ErrorKind, JobQueue, NewJob, Payload, Unique};
use queue_postgres::tokio_postgres::{Client, NoTls, Transaction, connect};
use queue_postgres::{PostgresConfig, Tx as _};

use crate::common::TestSchema;

async fn client() -> Client {
    let (client, connection) = connect(&queue_testserver::url().unwrap(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn queue(schema: &TestSchema) -> JobQueue {
    JobQueue::new(Arc::new(schema.open().await))
}

fn job() -> NewJob {
    NewJob::new("greet".parse().unwrap(), Payload::json("{}").unwrap())
}

async fn count(jobs: &JobQueue) -> usize {
    jobs.backend().extensions().audit.unwrap().stored().await.unwrap().jobs.len()
}

async fn refusal(jobs: &JobQueue, transaction: &Transaction<'_>) -> Error {
    jobs.enqueue(job()).tx(transaction).await.unwrap_err()
}

#[track_caller]
fn assert_invalid(error: &Error, text: &str) {
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(text), "{error}");
}

#[tokio::test]
async fn transaction_of_another_database_is_refused() {
    let (schema, mut client) = (TestSchema::new(), client().await);
    let jobs = queue(&schema).await;
    // A queue of the same name in another database: the id of its storage differs.
    let name = schema.name();
    let rename = format!("ALTER SCHEMA {name} RENAME TO {name}_moved");
    client.batch_execute(&rename).await.unwrap();
    drop(schema.open().await);
    let transaction = client.transaction().await.unwrap();
    assert_invalid(&refusal(&jobs, &transaction).await, "the transaction is of another database");
    drop(transaction);
    client
        .batch_execute(&format!("DROP SCHEMA {name}_moved CASCADE; DROP SCHEMA {name} CASCADE"))
        .await
        .unwrap();
    let transaction = client.transaction().await.unwrap();
    assert_invalid(&refusal(&jobs, &transaction).await, "has no such queue");
}

#[tokio::test]
async fn read_only_or_failed_transaction_is_refused() {
    let (schema, mut client) = (TestSchema::new(), client().await);
    let jobs = queue(&schema).await;
    let read_only = client.build_transaction().read_only(true).start().await.unwrap();
    assert_invalid(&refusal(&jobs, &read_only).await, "the transaction is read-only");
    drop(read_only);
    let failed = client.transaction().await.unwrap();
    failed.batch_execute("SELECT 1/0").await.unwrap_err();
    assert_invalid(&refusal(&jobs, &failed).await, "the transaction has failed before");
    drop(failed);
    assert_eq!(count(&jobs).await, 0);
}

/// A refusal before the statement leaves the transaction as it was. One by the server can be undone
/// to a savepoint of the application.
#[tokio::test]
async fn refused_request_leaves_the_transaction_to_the_caller() {
    let (schema, mut client) = (TestSchema::new(), client().await);
    let jobs = queue(&schema).await;
    let mut transaction = client.transaction().await.unwrap();
    let error = jobs.enqueue(job()).unique(Unique::key("")).tx(&transaction).await.unwrap_err();
    assert_invalid(&error, "the unique key is empty");
    let first = jobs.enqueue(job()).tx(&transaction).await.unwrap();
    let savepoint = transaction.savepoint("mine").await.unwrap();
    let error = jobs.enqueue(job().priority(9)).with_id(first.id()).tx(&savepoint).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    savepoint.rollback().await.unwrap();
    assert!(jobs.enqueue(job()).tx(&transaction).await.unwrap().is_new());
    transaction.commit().await.unwrap();
    assert_eq!(count(&jobs).await, 2);
}

/// The lock timeout of the session bounds the wait for a key that another transaction has taken.
#[tokio::test]
async fn key_of_an_open_transaction_is_busy_after_the_lock_timeout() {
    let (schema, mut first, mut second) = (TestSchema::new(), client().await, client().await);
    let jobs = queue(&schema).await;
    let unique = || jobs.enqueue(job()).unique(Unique::key("a"));
    let holder = first.transaction().await.unwrap();
    unique().tx(&holder).await.unwrap();
    let waiting = second.transaction().await.unwrap();
    waiting.batch_execute("SET LOCAL lock_timeout = '1ms'").await.unwrap();
    let error = unique().tx(&waiting).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    let config = PostgresConfig::from_url(&queue_testserver::url().unwrap()).unwrap();
    let config =
        config.schema(schema.name()).unwrap().unique_lock_timeout(std::time::Duration::from_millis(1));
    let impatient = queue_postgres::PostgresBackend::open(config).await.unwrap();
    let error = JobQueue::new(Arc::new(impatient)).enqueue(job()).unique(Unique::key("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    // Jobs without keys do not wait.
    jobs.enqueue(job()).await.unwrap();
}

#[tokio::test]
async fn dropped_enqueue_is_rolled_back_with_its_transaction() {
    let (schema, mut client) = (TestSchema::new(), client().await);
    let jobs = queue(&schema).await;
    for polls in 0.. {
        let transaction = client.transaction().await.unwrap();
        let ended = drop_after(polls, jobs.enqueue(job()).tx(&transaction)).await;
        transaction.rollback().await.unwrap();
        if ended.is_some() {
            break;
        }
    }
    assert_eq!(count(&jobs).await, 0);
}

#[tokio::test]
async fn queue_without_sql_says_so() {
    let mut client = client().await;
    let memory = JobQueue::new(Arc::new(queue_core::MemoryBackend::new()));
    let transaction = client.transaction().await.unwrap();
    let error = refusal(&memory, &transaction).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
