//! Enqueues and completes jobs in transactions of [sqlx](https://docs.rs/sqlx) 0.9, on PostgreSQL
//! and SQLite, each by the feature of its name.
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # async fn example(jobs: &queue_core::JobQueue, pool: &sqlx::PgPool, email: &str,
//! #     welcome: impl Fn(i64) -> queue_core::NewJob) -> Result<(), Box<dyn std::error::Error>> {
//! use queue_sqlx::Tx as _;
//!
//! let mut tx = pool.begin().await?;
//! let user = sqlx::query_scalar("INSERT INTO users (email) VALUES ($1) RETURNING id")
//!     .bind(email)
//!     .fetch_one(&mut *tx)
//!     .await?;
//! jobs.enqueue(welcome(user)).tx(&mut tx).await?;
//! tx.commit().await?; // commits the row and the job
//! # Ok(()) }
//! ```

use std::future::Future;

use queue_core::backend::SqlDialect;
use queue_core::{Deferred, Result, SqlFailure, SqlRequest, SqlStatement, SqlWake};
use sqlx::{Database, Row as _, Transaction};

/// Enqueues and completes jobs in a transaction of the application, exactly if it commits. `DB` is
/// `sqlx::Postgres` or `sqlx::Sqlite`, and follows from the argument.
///
/// # Errors
/// Each error names its cause. Nothing was changed.
/// - [`Invalid`](queue_core::ErrorKind::Invalid): the request is refused, or the transaction is of
///   another database or schema, read-only, or failed before.
/// - [`Conflict`](queue_core::ErrorKind::Conflict): an id is stored with other content.
/// - [`LeaseLost`](queue_core::ErrorKind::LeaseLost): the job cannot be completed any more. Do not
///   commit.
/// - [`Busy`](queue_core::ErrorKind::Busy): a lock was held for too long.
/// - [`Unavailable`](queue_core::ErrorKind::Unavailable): the connection was lost.
///
/// After an error of the server, a transaction of PostgreSQL has failed and can only be rolled
/// back. On SQLite it is open, without the batch.
///
/// # Cancellation
/// If the future is dropped, the request took effect in the transaction, or not. Roll it back.
pub trait Tx<DB: Database>: SqlRequest {
    /// Sends the request in the transaction. On PostgreSQL workers are notified at its commit.
    fn tx(self, transaction: &mut Transaction<'_, DB>) -> impl Future<Output = Result<Self::Handles>> + Send;

    /// Sends the request in the transaction, without a NOTIFY in it. Workers are woken by
    /// [`Deferred::wake`] after the commit.
    fn tx_deferred(
        self,
        transaction: &mut Transaction<'_, DB>,
    ) -> impl Future<Output = Result<Deferred<Self::Handles>>> + Send;
}

macro_rules! adapter {
    ($database:ty, $dialect:expr, $send:path) => {
        impl<R: SqlRequest> Tx<$database> for R {
            async fn tx(self, transaction: &mut Transaction<'_, $database>) -> Result<Self::Handles> {
                let request = self.into_sql($dialect, SqlWake::AtCommit)?;
                let rows = $send(&request, transaction).await.map_err(|error| failed(&request, error))?;
                request.finish(rows)
            }

            async fn tx_deferred(
                self,
                transaction: &mut Transaction<'_, $database>,
            ) -> Result<Deferred<Self::Handles>> {
                let request = self.into_sql($dialect, SqlWake::Deferred)?;
                let rows = $send(&request, transaction).await.map_err(|error| failed(&request, error))?;
                request.finish_deferred(rows)
            }
        }
    };
}

#[cfg(feature = "postgres")]
adapter!(sqlx::Postgres, SqlDialect::Postgres, postgres);
#[cfg(feature = "sqlite")]
adapter!(sqlx::Sqlite, SqlDialect::Sqlite, sqlite);

type Rows = Vec<([u8; 16], String)>;

#[cfg(feature = "postgres")]
async fn postgres<H>(
    request: &SqlStatement<H>,
    transaction: &mut Transaction<'_, sqlx::Postgres>,
) -> sqlx::Result<Rows> {
    let statement = sqlx::AssertSqlSafe(request.statement());
    let rows = sqlx::query(statement).bind(request.text()).fetch_all(&mut **transaction).await?;
    rows.iter().map(|row| Ok((id(row.try_get_raw(0)?.as_bytes().ok()), row.try_get(1)?))).collect()
}

#[cfg(feature = "sqlite")]
async fn sqlite<H>(
    request: &SqlStatement<H>,
    transaction: &mut Transaction<'_, sqlx::Sqlite>,
) -> sqlx::Result<Rows> {
    let statement = sqlx::AssertSqlSafe(request.statement());
    sqlx::query(statement).bind(request.text()).execute(&mut **transaction).await?;
    let read = sqlx::AssertSqlSafe(request.read_statement());
    let rows = sqlx::query(read).fetch_all(&mut **transaction).await?;
    rows.iter().map(|row| Ok((id(Some(row.try_get(0)?)), row.try_get(1)?))).collect()
}

/// The 16 bytes of an id. Others become an id that no job has.
fn id(bytes: Option<&[u8]>) -> [u8; 16] {
    bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

fn failed<H>(request: &SqlStatement<H>, error: sqlx::Error) -> queue_core::Error {
    let (code, message) = match error.as_database_error() {
        Some(refusal) => (refusal.code().map(std::borrow::Cow::into_owned), refusal.message().to_owned()),
        None => (None, error.to_string()),
    };
    request.failed(SqlFailure::new(&message, error).code(code.as_deref()))
}
