//! Transactions of diesel on SQLite.

use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel::sql_types::Text;
use diesel::{RunQueryDsl as _, SqliteConnection, sql_query};
use queue_core::backend::SqlDialect;
use queue_core::{Deferred, Result, SqlRequest, SqlStatement, SqlWake};

use crate::{failed, is_open, rows};

/// Enqueues and completes jobs in a transaction of the application, exactly if it commits. Call it
/// within [`SqliteConnection::immediate_transaction`]. It blocks, as all of diesel does.
#[expect(clippy::missing_errors_doc, reason = "the errors of all adapters are listed at the crate")]
pub trait Tx: SqlRequest {
    /// Sends the request in the transaction. Workers of all processes see the commit by themselves.
    fn tx(self, connection: &mut SqliteConnection) -> Result<Self::Handles>;

    /// Sends the request in the transaction. [`Deferred::wake`] wakes the workers of this process
    /// after the commit.
    fn tx_deferred(self, connection: &mut SqliteConnection) -> Result<Deferred<Self::Handles>>;
}

impl<R: SqlRequest> Tx for R {
    fn tx(self, connection: &mut SqliteConnection) -> Result<Self::Handles> {
        let request = self.into_sql(SqlDialect::Sqlite, SqlWake::AtCommit)?;
        let rows = send(&request, connection)?;
        request.finish(rows)
    }

    fn tx_deferred(self, connection: &mut SqliteConnection) -> Result<Deferred<Self::Handles>> {
        let request = self.into_sql(SqlDialect::Sqlite, SqlWake::Deferred)?;
        let rows = send(&request, connection)?;
        request.finish_deferred(rows)
    }
}

fn send<H>(request: &SqlStatement<H>, connection: &mut SqliteConnection) -> Result<Vec<([u8; 16], String)>> {
    if !is_open(AnsiTransactionManager::transaction_manager_status_mut(connection)) {
        return Err(request.without_transaction());
    }
    let enqueue = sql_query(request.statement()).bind::<Text, _>(request.text());
    enqueue.execute(connection).map_err(|error| failed(request, error))?;
    sql_query(request.read_statement()).load(connection).map(rows).map_err(|error| failed(request, error))
}
