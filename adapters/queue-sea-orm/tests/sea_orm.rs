//! Transactions of `SeaORM` against real databases.

#[path = "../../common/mod.rs"]
mod common;

use common::{job, kinds, running, stored};
use queue::{ErrorKind, JobHandle, JobQueue, JobState, Unique};
use queue_sea_orm::Tx as _;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, TransactionTrait as _};

/// Commits one job and a batch of two kinds, rolls one back, drops one, and refuses one.
async fn commits_and_rolls_back(jobs: &JobQueue, db: &DatabaseConnection) {
    let tx = db.begin().await.unwrap();
    jobs.enqueue(job("rolled-back")).tx(&tx).await.unwrap();
    tx.rollback().await.unwrap();
    let tx = db.begin().await.unwrap();
    jobs.enqueue(job("dropped")).tx(&tx).await.unwrap();
    drop(tx);

    let tx = db.begin().await.unwrap();
    let first = jobs.enqueue(job("a")).unique(Unique::key("k")).tx(&tx).await.unwrap();
    let second = jobs.enqueue(job("a")).unique(Unique::key("k")).tx(&tx).await.unwrap();
    let batch = jobs.enqueue_batch([job("b"), job("c")]).tx(&tx).await.unwrap();
    assert!(first.is_new() && !second.is_new() && batch.iter().all(JobHandle::is_new));
    assert_eq!(first.id(), second.id());
    tx.commit().await.unwrap();
    assert_eq!(kinds(jobs).await, ["a", "b", "c"]);

    let tx = db.begin().await.unwrap();
    let error = jobs.enqueue(job("other")).with_id(first.id()).tx(&tx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    tx.rollback().await.unwrap();
    let tx = db.begin().await.unwrap();
    let pending = jobs.enqueue(job("d")).tx_deferred(&tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(pending.wake().is_new());
    assert_eq!(kinds(jobs).await, ["a", "b", "c", "d"]);

    let context = running(jobs).await;
    let tx = db.begin().await.unwrap();
    context.complete("once").tx(&tx).await.unwrap();
    tx.commit().await.unwrap();
    let tx = db.begin().await.unwrap();
    let lost = context.complete("twice").tx(&tx).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::LeaseLost, "{lost}");
    tx.rollback().await.unwrap();
    let state = |kind: &str, state| (kind.to_owned(), state);
    let expected = [
        state("charge", JobState::Completed),
        state("d", JobState::Ready),
        state("receipt", JobState::Ready),
    ];
    assert_eq!(stored(jobs).await[3..], expected);
}

#[tokio::test]
async fn transaction_of_sqlite_has_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("app.db").display());
    let jobs = queue::connect(&url).await.unwrap();
    commits_and_rolls_back(&jobs, &Database::connect(&url).await.unwrap()).await;
    let other = Database::connect("sqlite::memory:").await.unwrap().begin().await.unwrap();
    let error = jobs.enqueue(job("a")).tx(&other).await.unwrap_err();
    assert!(error.to_string().contains("has no queue"), "{error}");
}

#[tokio::test]
async fn transaction_of_postgres_has_its_jobs() {
    let url = queue_testserver::url().unwrap();
    let schema = format!("sea_orm_{}", queue::JobId::generate().to_string().to_lowercase());
    let parameter = if url.contains('?') { '&' } else { '?' };
    let jobs = queue::connect(&format!("{url}{parameter}schema={schema}")).await.unwrap();
    let db = Database::connect(&url).await.unwrap();
    commits_and_rolls_back(&jobs, &db).await;
    let failed = db.begin().await.unwrap();
    failed.execute_unprepared("SELECT 1/0").await.unwrap_err();
    let error = jobs.enqueue(job("a")).tx(&failed).await.unwrap_err();
    assert!(error.to_string().contains("the transaction has failed before"), "{error}");
    drop(failed);
    db.execute_unprepared(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
}
