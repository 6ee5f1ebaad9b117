//! Enqueues and completes jobs in transactions of [diesel](https://docs.rs/diesel) 2: of
//! diesel-async on PostgreSQL (feature `postgres`), and of diesel on SQLite (feature `sqlite`).
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # async fn example(jobs: &queue_core::JobQueue, welcome: queue_core::NewJob,
//! #     connection: &mut diesel_async::AsyncPgConnection)
//! # -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use diesel_async::AsyncConnection as _;
//! use queue_diesel::postgres::Tx as _;
//!
//! connection
//!     .transaction(async |connection| {
//!         // … insert the user …
//!         jobs.enqueue(welcome).tx(connection).await?;
//!         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//!     })
//!     .await?; // commits the row and the job
//! # Ok(()) }
//! ```
//!
//! # Errors
//! Each error of `tx` names its cause. Nothing was changed.
//! - [`Invalid`](queue_core::ErrorKind::Invalid): the request is refused, the connection has no
//!   transaction that diesel began, or the transaction is of another database or schema, read-only,
//!   or failed before.
//! - [`Conflict`](queue_core::ErrorKind::Conflict): an id is stored with other content.
//! - [`LeaseLost`](queue_core::ErrorKind::LeaseLost): the job cannot be completed any more. Do not
//!   commit.
//! - [`Busy`](queue_core::ErrorKind::Busy): a lock was held for too long.
//! - [`Unavailable`](queue_core::ErrorKind::Unavailable): the connection was lost.
//!
//! After an error of the server, a transaction of PostgreSQL has failed and can only be rolled
//! back. On SQLite it is open, without the batch.

#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use diesel::connection::TransactionManagerStatus;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::row::NamedRow;
use diesel::sql_types::{Binary, Text};
use diesel::{QueryableByName, deserialize};
use queue_core::{Error, SqlFailure, SqlStatement};

/// A row of the answer.
struct Row {
    id: Vec<u8>,
    insertion: String,
}

impl<DB> QueryableByName<DB> for Row
where
    DB: diesel::backend::Backend,
    Vec<u8>: deserialize::FromSql<Binary, DB>,
    String: deserialize::FromSql<Text, DB>,
{
    fn build<'a>(row: &impl NamedRow<'a, DB>) -> deserialize::Result<Self> {
        let id = NamedRow::get::<Binary, _>(row, "id")?;
        Ok(Self { id, insertion: NamedRow::get::<Text, _>(row, "insertion")? })
    }
}

/// Whether a transaction is open. The server refuses one that has failed.
fn is_open(status: &TransactionManagerStatus) -> bool {
    !matches!(status.transaction_depth(), Ok(None))
}

/// Other bytes become an id that no job has.
fn rows(rows: Vec<Row>) -> Vec<([u8; 16], String)> {
    rows.into_iter().map(|row| (row.id.try_into().unwrap_or_default(), row.insertion)).collect()
}

fn failed<H>(request: &SqlStatement<H>, error: DieselError) -> Error {
    let (code, message) = match &error {
        DieselError::DatabaseError(kind, refusal) => {
            (code(*kind, refusal.message()), refusal.message().to_owned())
        }
        _ => (None, error.to_string()),
    };
    request.failed(SqlFailure::new(&message, error).code(code))
}

/// The SQLSTATE, which diesel does not keep.
fn code(kind: DatabaseErrorKind, message: &str) -> Option<&'static str> {
    let has = |text: &str| message.contains(text);
    match kind {
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => None,
        DatabaseErrorKind::UniqueViolation => Some("23505"),
        DatabaseErrorKind::SerializationFailure => Some("40001"),
        DatabaseErrorKind::ReadOnlyTransaction => Some("25006"),
        _ if has("transaction is aborted") => Some("25P02"),
        _ if has("does not exist") => Some("42883"),
        _ if has("permission denied") => Some("42501"),
        _ if has("lock timeout") || has("statement timeout") => Some("55P03"),
        _ if has("deadlock detected") => Some("40P01"),
        _ if has("terminating connection") => Some("57P01"),
        _ if has("canceling statement") => Some("57014"),
        _ if has("the lease is lost") => Some("55000"),
        _ if has("failed to enqueue") || has("failed to complete") => Some("22023"),
        _ => Some("XX000"),
    }
}
