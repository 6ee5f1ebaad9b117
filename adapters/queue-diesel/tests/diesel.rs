//! Transactions of diesel and diesel-async against real databases.

#[path = "../../common/mod.rs"]
mod common;

use common::{job, kinds, running, stored};
use queue::{ErrorKind, JobState, Unique};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The states of `charge`, `d` and `receipt` after the first was completed.
const AFTER: [JobState; 3] = [JobState::Completed, JobState::Ready, JobState::Ready];

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn transaction_of_sqlite_has_its_jobs() {
    use diesel::{Connection as _, SqliteConnection};
    use queue_diesel::sqlite::Tx as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db").display().to_string();
    let jobs = queue::connect(&path).await.unwrap();
    let mut connection = SqliteConnection::establish(&path).unwrap();
    let rolled_back: Result<(), AnyError> = connection.immediate_transaction(|connection| {
        jobs.enqueue(job("rolled-back")).tx(connection)?;
        Err("no".into())
    });
    rolled_back.unwrap_err();
    let committed: Result<_, AnyError> = connection.immediate_transaction(|connection| {
        let first = jobs.enqueue(job("a")).unique(Unique::key("k")).tx(connection)?;
        let second = jobs.enqueue(job("a")).unique(Unique::key("k")).tx(connection)?;
        assert_eq!((first.id(), first.is_new(), second.is_new()), (second.id(), true, false));
        jobs.enqueue_batch([job("b"), job("c")]).tx(connection)?;
        let conflict = jobs.enqueue(job("other")).with_id(first.id()).tx(connection).unwrap_err();
        assert_eq!(conflict.kind(), ErrorKind::Conflict, "{conflict}");
        Ok(jobs.enqueue(job("d")).tx_deferred(connection)?)
    });
    assert!(committed.unwrap().wake().is_new());
    assert_eq!(kinds(&jobs).await, ["a", "b", "c", "d"]);
    let mut other = SqliteConnection::establish(":memory:").unwrap();
    let outside: Result<(), AnyError> = other.immediate_transaction(|connection| {
        let error = jobs.enqueue(job("a")).tx(connection).unwrap_err();
        assert!(error.to_string().contains("has no queue"), "{error}");
        Err("no".into())
    });
    outside.unwrap_err();
    let error = jobs.enqueue(job("e")).tx(&mut connection).unwrap_err();
    assert!(error.to_string().contains("no open transaction"), "{error}");
    assert_eq!(kinds(&jobs).await, ["a", "b", "c", "d"]);

    let context = running(&jobs).await;
    let completed: Result<(), AnyError> =
        connection.immediate_transaction(|connection| Ok(context.complete("once").tx(connection)?));
    completed.unwrap();
    let lost: Result<(), AnyError> = connection.immediate_transaction(|connection| {
        let lost = context.complete("twice").tx(connection).unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::LeaseLost, "{lost}");
        Err("no".into())
    });
    lost.unwrap_err();
    let states = stored(&jobs).await.into_iter().skip(3).map(|(_, state)| state);
    assert_eq!(states.collect::<Vec<_>>(), AFTER);
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn transaction_of_postgres_has_its_jobs() {
    use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
    use queue_diesel::postgres::Tx as _;

    let url = queue_testserver::url().unwrap();
    let schema = format!("diesel_{}", queue::JobId::generate().to_string().to_lowercase());
    let parameter = if url.contains('?') { '&' } else { '?' };
    let jobs = queue::connect(&format!("{url}{parameter}schema={schema}")).await.unwrap();
    let mut connection = AsyncPgConnection::establish(&url).await.unwrap();
    let rolled_back: Result<(), AnyError> = connection
        .transaction(async |connection| {
            jobs.enqueue(job("rolled-back")).tx(connection).await?;
            Err("no".into())
        })
        .await;
    rolled_back.unwrap_err();
    let committed: Result<_, AnyError> = connection
        .transaction(async |connection| {
            let first = jobs.enqueue(job("a")).unique(Unique::key("k")).tx(connection).await?;
            let second = jobs.enqueue(job("a")).unique(Unique::key("k")).tx(connection).await?;
            assert_eq!((first.id(), first.is_new(), second.is_new()), (second.id(), true, false));
            jobs.enqueue_batch([job("b"), job("c")]).tx(connection).await?;
            Ok((first.id(), jobs.enqueue(job("d")).tx_deferred(connection).await?))
        })
        .await;
    let (first, pending) = committed.unwrap();
    assert!(pending.wake().is_new());
    assert_eq!(kinds(&jobs).await, ["a", "b", "c", "d"]);
    let refused: Result<(), AnyError> = connection
        .transaction(async |connection| {
            let conflict = jobs.enqueue(job("other")).with_id(first).tx(connection).await.unwrap_err();
            assert_eq!(conflict.kind(), ErrorKind::Conflict, "{conflict}");
            let failed = jobs.enqueue(job("a")).tx(connection).await.unwrap_err();
            assert!(failed.to_string().contains("the transaction has failed before"), "{failed}");
            Err("no".into())
        })
        .await;
    refused.unwrap_err();
    let error = jobs.enqueue(job("e")).tx(&mut connection).await.unwrap_err();
    assert!(error.to_string().contains("no open transaction"), "{error}");
    assert_eq!(kinds(&jobs).await, ["a", "b", "c", "d"]);

    let context = running(&jobs).await;
    let completed: Result<(), AnyError> =
        connection.transaction(async |connection| Ok(context.complete("once").tx(connection).await?)).await;
    completed.unwrap();
    let lost: Result<(), AnyError> = connection
        .transaction(async |connection| {
            let lost = context.complete("twice").tx(connection).await.unwrap_err();
            assert_eq!(lost.kind(), ErrorKind::LeaseLost, "{lost}");
            Err("no".into())
        })
        .await;
    lost.unwrap_err();
    let states = stored(&jobs).await.into_iter().skip(3).map(|(_, state)| state);
    assert_eq!(states.collect::<Vec<_>>(), AFTER);
    connection.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
}
