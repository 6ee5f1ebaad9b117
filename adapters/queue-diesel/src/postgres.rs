//! Transactions of diesel-async on PostgreSQL.

use std::future::Future;

use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl as _, TransactionManager as _};
use queue_core::backend::SqlDialect;
use queue_core::{Deferred, Result, SqlRequest, SqlStatement, SqlWake};

use crate::{failed, is_open, rows};

/// Enqueues and completes jobs in a transaction of the application, exactly if it commits. Call it
/// within [`AsyncConnection::transaction`](diesel_async::AsyncConnection::transaction).
///
/// # Cancellation
/// If the future is dropped, the request took effect in the transaction, or not. Roll it back.
pub trait Tx: SqlRequest {
    /// Sends the request in the transaction. Workers are notified at its commit.
    fn tx(self, connection: &mut AsyncPgConnection) -> impl Future<Output = Result<Self::Handles>> + Send;

    /// Sends the request in the transaction, without a NOTIFY in it. Workers are woken by
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
    if !is_open(AnsiTransactionManager::transaction_manager_status_mut(connection)) {
        return Err(request.without_transaction());
    }
    // As bytes, because without another feature diesel reads no `uuid`.
    let sql = format!("SELECT uuid_send(id) AS id, insertion FROM ({}) AS jobs", request.statement());
    let loaded = sql_query(sql).bind::<Text, _>(request.text()).load(connection).await;
    loaded.map(rows).map_err(|error| failed(request, error))
}
