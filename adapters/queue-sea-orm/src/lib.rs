//! Enqueues and completes jobs in transactions of [SeaORM](https://docs.rs/sea-orm) 2, on
//! PostgreSQL and SQLite.
//!
//! ```no_run
//! # async fn example(jobs: &queue_core::JobQueue, db: &sea_orm::DatabaseConnection,
//! #     welcome: queue_core::NewJob) -> Result<(), Box<dyn std::error::Error>> {
//! use queue_sea_orm::Tx as _;
//! use sea_orm::TransactionTrait as _;
//!
//! let tx = db.begin().await?;
//! // … insert the user …
//! jobs.enqueue(welcome).tx(&tx).await?;
//! tx.commit().await?; // commits the row and the job
//! # Ok(()) }
//! ```

use std::future::Future;

use queue_core::backend::SqlDialect;
use queue_core::{Deferred, Error, ErrorKind, Result, SqlFailure, SqlRequest, SqlStatement, SqlWake};
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, QueryResult, RuntimeErr, Statement,
};

/// Enqueues and completes jobs in a transaction of the application, exactly if it commits.
///
/// # Errors
/// Each error names its cause. Nothing was changed.
/// - [`Invalid`](ErrorKind::Invalid): the request is refused, or the transaction is of another
///   database or schema, read-only, or failed before.
/// - [`Conflict`](ErrorKind::Conflict): an id is stored with other content.
/// - [`LeaseLost`](ErrorKind::LeaseLost): the job cannot be completed any more. Do not commit.
/// - [`Busy`](ErrorKind::Busy): a lock was held for too long.
/// - [`Unavailable`](ErrorKind::Unavailable): the connection was lost.
///
/// After an error of the server, a transaction of PostgreSQL has failed and can only be rolled
/// back. On SQLite it is open, without the batch.
///
/// # Cancellation
/// If the future is dropped, the request took effect in the transaction, or not. Roll it back.
pub trait Tx: SqlRequest {
    /// Sends the request in the transaction. On PostgreSQL workers are notified at its commit.
    fn tx(self, transaction: &DatabaseTransaction) -> impl Future<Output = Result<Self::Handles>> + Send;

    /// Sends the request in the transaction, without a NOTIFY in it. Workers are woken by
    /// [`Deferred::wake`] after the commit.
    fn tx_deferred(
        self,
        transaction: &DatabaseTransaction,
    ) -> impl Future<Output = Result<Deferred<Self::Handles>>> + Send;
}

impl<R: SqlRequest> Tx for R {
    async fn tx(self, transaction: &DatabaseTransaction) -> Result<Self::Handles> {
        let request = self.into_sql(dialect(transaction)?, SqlWake::AtCommit)?;
        let rows = send(&request, transaction).await.map_err(|error| failed(&request, error))?;
        request.finish(rows)
    }

    async fn tx_deferred(self, transaction: &DatabaseTransaction) -> Result<Deferred<Self::Handles>> {
        let request = self.into_sql(dialect(transaction)?, SqlWake::Deferred)?;
        let rows = send(&request, transaction).await.map_err(|error| failed(&request, error))?;
        request.finish_deferred(rows)
    }
}

fn dialect(transaction: &DatabaseTransaction) -> Result<SqlDialect> {
    match transaction.get_database_backend() {
        DbBackend::Postgres => Ok(SqlDialect::Postgres),
        DbBackend::Sqlite => Ok(SqlDialect::Sqlite),
        other => {
            let message = format!("the transaction is of {other:?}, which has no queue");
            Err(Error::new(ErrorKind::Unsupported, "use a transaction", message))
        }
    }
}

async fn send<H>(
    request: &SqlStatement<H>,
    transaction: &DatabaseTransaction,
) -> std::result::Result<Vec<([u8; 16], String)>, DbErr> {
    let backend = transaction.get_database_backend();
    let enqueue = |sql: &str| Statement::from_sql_and_values(backend, sql, [request.text().into()]);
    let rows = if backend == DbBackend::Postgres {
        // As bytes, because without another feature the driver reads no `uuid`.
        let sql = format!("SELECT uuid_send(id), insertion FROM ({}) AS jobs", request.statement());
        transaction.query_all_raw(enqueue(&sql)).await?
    } else {
        transaction.execute_raw(enqueue(request.statement())).await?;
        let read = Statement::from_string(backend, request.read_statement());
        transaction.query_all_raw(read).await?
    };
    let read = |row: &QueryResult| {
        let id: Vec<u8> = row.try_get_by_index(0)?;
        // Other bytes become an id that no job has.
        Ok((id.try_into().unwrap_or_default(), row.try_get_by_index(1)?))
    };
    rows.iter().map(read).collect()
}

fn failed<H>(request: &SqlStatement<H>, error: DbErr) -> Error {
    let refusal = match &error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            error.as_database_error()
        }
        _ => None,
    };
    let code = refusal.and_then(|refusal| refusal.code().map(std::borrow::Cow::into_owned));
    let message = refusal.map_or_else(|| error.to_string(), |refusal| refusal.message().to_owned());
    request.failed(SqlFailure::new(&message, error).code(code.as_deref()))
}
