//! Transactions of sqlx against real databases.

#[path = "../../common/mod.rs"]
mod common;

use common::{job, kinds, running, stored};
use queue::{ErrorKind, JobQueue, JobState, Unique};
use queue_sqlx::Tx;
use sqlx::{Database, Pool, Transaction};

/// Commits one job and a batch of two kinds, rolls one back, drops one, and refuses one.
async fn commits_and_rolls_back<DB>(jobs: JobQueue, pool: Pool<DB>)
where
    DB: Database,
    queue::Enqueue<queue::NewJob>: Tx<DB, Handles = queue::JobHandle>,
    queue::Enqueue<Vec<queue::NewJob>>: Tx<DB, Handles = Vec<queue::JobHandle>>,
    queue::Complete: Tx<DB, Handles = ()>,
{
    let begin = || async { pool.begin().await.unwrap() };
    let mut tx: Transaction<'_, DB> = begin().await;
    jobs.enqueue(job("rolled-back")).tx(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();
    let mut tx = begin().await;
    jobs.enqueue(job("dropped")).tx(&mut tx).await.unwrap();
    drop(tx);
    assert_eq!(stored(&jobs).await, []);

    let mut tx = begin().await;
    let first = jobs.enqueue(job("a")).unique(Unique::key("k")).tx(&mut tx).await.unwrap();
    let second = jobs.enqueue(job("a")).unique(Unique::key("k")).tx(&mut tx).await.unwrap();
    let batch = jobs.enqueue_batch([job("b"), job("c")]).tx(&mut tx).await.unwrap();
    assert!(first.is_new() && !second.is_new() && batch.iter().all(queue::JobHandle::is_new));
    assert_eq!(first.id(), second.id());
    tx.commit().await.unwrap();
    let ready = |kind: &str| (kind.to_owned(), JobState::Ready);
    assert_eq!(stored(&jobs).await, [ready("a"), ready("b"), ready("c")]);

    let mut tx = begin().await;
    let again = jobs.enqueue(job("other")).with_id(first.id()).tx(&mut tx).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    drop(tx);
    let mut tx = begin().await;
    let pending = jobs.enqueue(job("d")).tx_deferred(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(pending.wake().is_new());
    assert_eq!(kinds(&jobs).await, ["a", "b", "c", "d"]);

    let context = running(&jobs).await;
    let mut tx = begin().await;
    context.complete("once").tx(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = begin().await;
    let lost = context.complete("twice").tx(&mut tx).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::LeaseLost, "{lost}");
    tx.rollback().await.unwrap();
    let completed = ("charge".to_owned(), JobState::Completed);
    assert_eq!(stored(&jobs).await[3..], [completed, ready("d"), ready("receipt")]);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn transaction_of_sqlite_has_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("app.db").display());
    let jobs = queue::connect(&url).await.unwrap();
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    commits_and_rolls_back(jobs, pool).await;
    let other = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let jobs = queue::connect(&url).await.unwrap();
    let error = jobs.enqueue(job("a")).tx(&mut other.begin().await.unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("has no queue"), "{error}");
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn transaction_of_postgres_has_its_jobs() {
    let url = queue_testserver::url().unwrap();
    let schema = format!("sqlx_{}", queue::JobId::generate().to_string().to_lowercase());
    let parameter = if url.contains('?') { '&' } else { '?' };
    let jobs = queue::connect(&format!("{url}{parameter}schema={schema}")).await.unwrap();
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    commits_and_rolls_back(jobs.clone(), pool.clone()).await;
    let mut failed = pool.begin().await.unwrap();
    sqlx::query("SELECT 1/0").execute(&mut *failed).await.unwrap_err();
    let error = jobs.enqueue(job("a")).tx(&mut failed).await.unwrap_err();
    assert!(error.to_string().contains("the transaction has failed before"), "{error}");
    drop(failed);
    let drop_schema = sqlx::AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"));
    sqlx::query(drop_schema).execute(&pool).await.unwrap();
}
