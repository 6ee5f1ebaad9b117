//! Requests in a transaction of the application.

use std::future::Future;

use queue_core::backend::{SqlDialect, SqlTarget};
use queue_core::{Deferred, Result, SqlFailure, SqlRequest, SqlStatement, SqlWake};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::connections::Statement;
use crate::core::Core;
use crate::error::Effect;
use crate::row;
use crate::schema_name::Schema;
use crate::statements::filled;
use crate::types::Id;

/// Enqueues and completes jobs in a transaction of the application, exactly if it commits.
///
/// ```no_run
/// # use queue_core::{JobQueue, NewJob, Payload};
/// use queue_postgres::Tx as _;
///
/// # async fn example(
/// #     jobs: &JobQueue, client: &mut queue_postgres::tokio_postgres::Client,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut tx = client.transaction().await?;
/// let row = tx.query_one("INSERT INTO users DEFAULT VALUES RETURNING id", &[]).await?;
/// let welcome = NewJob::new("send-welcome".parse()?, Payload::encode(&row.get::<_, i32>(0))?);
/// jobs.enqueue(welcome).tx(&mut tx).await?; // or a payload that is a `Task`
/// tx.commit().await?; // the row and the job
/// # Ok(()) }
/// ```
///
/// A transaction of a `deadpool_postgres` client derefs to one of the driver: `.tx(&tx)`.
///
/// # Errors
/// Each error names its cause. Nothing was changed.
/// - [`Invalid`](queue_core::ErrorKind::Invalid): the request is refused, or the transaction is of
///   another database or schema, read-only, or failed before.
/// - [`Conflict`](queue_core::ErrorKind::Conflict): an id is stored with other content.
/// - [`LeaseLost`](queue_core::ErrorKind::LeaseLost): the job cannot be completed any more. Do not
///   commit.
/// - [`Busy`](queue_core::ErrorKind::Busy): another transaction held a lock for too long, or has
///   taken the same unique key and not yet ended.
/// - [`Unavailable`](queue_core::ErrorKind::Unavailable): the connection was lost.
///
/// After an error of the server the transaction has failed, as after any other failed statement. It
/// can only be rolled back, to a savepoint if the application made one. This library makes none.
///
/// # Cancellation
/// If the future is dropped, the request took effect in the transaction, or not. Roll it back.
pub trait Tx: SqlRequest {
    /// Sends the request in the transaction. Workers are notified at its commit.
    fn tx(self, transaction: &Transaction<'_>) -> impl Future<Output = Result<Self::Handles>> + Send;

    /// Sends the request in the transaction, without a NOTIFY in it. Workers are woken by
    /// [`Deferred::wake`] after the commit. Commits of transactions with a NOTIFY happen one after
    /// the other in the whole database, which matters from several thousand per second on.
    fn tx_deferred(
        self,
        transaction: &Transaction<'_>,
    ) -> impl Future<Output = Result<Deferred<Self::Handles>>> + Send;
}

impl<R: SqlRequest> Tx for R {
    async fn tx(self, transaction: &Transaction<'_>) -> Result<Self::Handles> {
        let request = self.into_sql(SqlDialect::Postgres, SqlWake::AtCommit)?;
        let rows = send(&request, transaction).await?;
        request.finish(rows)
    }

    async fn tx_deferred(self, transaction: &Transaction<'_>) -> Result<Deferred<Self::Handles>> {
        let request = self.into_sql(SqlDialect::Postgres, SqlWake::Deferred)?;
        let rows = send(&request, transaction).await?;
        request.finish_deferred(rows)
    }
}

/// The statement of the SQL contract.
pub(crate) fn target(schema: &Schema) -> SqlTarget {
    let call = |function| {
        filled(&format!("SELECT id, insertion FROM {{schema}}.{function}($1) ORDER BY number"), schema)
    };
    SqlTarget::new(SqlDialect::Postgres, call("enqueue_jobs"), call("complete_job"), "")
}

/// Reads the identity of the storage.
pub(crate) async fn storage_id(core: &Core, schema: &Schema) -> Result<String> {
    let statement = Statement::reads(filled(include_str!("sql/storage_id.sql"), schema), &[]);
    let read = async { row::get(row::only(&core.connections.query(&statement, &[]).await?)?, 0) };
    read.await.map_err(|fault| fault.into_error("open the database", Effect::Reads))
}

async fn send<H>(
    request: &SqlStatement<H>,
    transaction: &Transaction<'_>,
) -> Result<Vec<([u8; 16], String)>> {
    let text = request.text();
    // Typed and not prepared, so that it also works through a pooler.
    let rows = transaction.query_typed(request.statement(), &[(&text, Type::TEXT)]).await;
    let failed = |error: tokio_postgres::Error| {
        let message =
            error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
        let code = error.code().map(|code| code.code().to_owned());
        request.failed(SqlFailure::new(&message, error).code(code.as_deref()))
    };
    let rows = rows.map_err(failed)?;
    let read = |row: &tokio_postgres::Row| Ok((row.try_get::<_, Id>(0)?.0, row.try_get(1)?));
    rows.iter().map(read).collect::<std::result::Result<_, _>>().map_err(failed)
}
