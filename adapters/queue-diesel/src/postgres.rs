//! Transactions of diesel-async on PostgreSQL.

use std::future::Future;

use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl as _, TransactionManager as _};
use queue_core::backend::SqlDialect;
use queue_core::{Deferred, Result, SqlRequest, SqlStatement, SqlWake};

use crate::{check_open, failed, rows};

/// Enqueues in a transaction of the application: the jobs exist exactly if it commits. Call it
/// within [`AsyncConnection::transaction`](diesel_async::AsyncConnection::transaction).
///
/// # Cancellation
/// If the future is dropped, the jobs were enqueued in the transaction, or not. Roll it back.
pub trait Tx: SqlRequest {
    /// Enqueues in the transaction. Workers are notified at its commit.
    fn tx(self, connection: &mut AsyncPgConnection) -> impl Future<Output = Result<Self::Handles>> + Send;

    /// Enqueues in the transaction, without a NOTIFY in it. Workers are woken by
    /// [`Deferred::wake`] after the commit.
    fn tx_deferred(
        self,
        connection: &mut AsyncPgConnection,
    ) -> impl Future<Output = Result<Deferred<Self::Handles>>> + Send;
}

impl<R: SqlRequest> Tx for R {
    async fn tx(self, connection: &mut AsyncPgConnection) -> Result<Self::Handles> {
        let request = self.into_sql(SqlDialect::Postgres, SqlWake::AtCommit)?;
        let rows = send(&request, connection).await?;
        request.finish(rows)
    }

    async fn tx_deferred(self, connection: &mut AsyncPgConnection) -> Result<Deferred<Self::Handles>> {
        let request = self.into_sql(SqlDialect::Postgres, SqlWake::Deferred)?;
        let rows = send(&request, connection).await?;
        request.finish_deferred(rows)
    }
}

async fn send<H>(
    request: &SqlStatement<H>,
    connection: &mut AsyncPgConnection,
) -> Result<Vec<([u8; 16], String)>> {
    check_open(AnsiTransactionManager::transaction_manager_status_mut(connection))?;
    // As bytes, because without another feature diesel reads no `uuid`.
    let sql = format!("SELECT uuid_send(id) AS id, insertion FROM ({}) AS jobs", request.statement());
    let loaded = sql_query(sql).bind::<Text, _>(request.text()).load(connection).await;
    loaded.map(rows).map_err(|error| failed(request, error))
}
