//! Requests in a transaction of the application.

use queue_core::backend::{SqlDialect, SqlTarget};
use queue_core::{Deferred, Result, SqlFailure, SqlRequest, SqlStatement, SqlWake};
use rusqlite::Connection;

use crate::error::Outcome;

const ENQUEUE: &str = "INSERT INTO queue_enqueue (jobs) VALUES (?1)";
const COMPLETE: &str = "INSERT INTO queue_complete (request) VALUES (?1)";
const READ: &str = "SELECT id, insertion FROM queue_enqueue ORDER BY number";
const STORAGE_ID: &str = include_str!("sql/storage_id.sql");

/// Enqueues and completes jobs in a transaction of the application, exactly if it commits. The call
/// blocks, as all of rusqlite does.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{JobQueue, NewJob, Payload};
/// use queue_sqlite::{Tx as _, SqliteBackend, SqliteConfig};
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("app.db");
/// let jobs = JobQueue::new(Arc::new(SqliteBackend::open(SqliteConfig::new(&path)).await?));
/// let mut connection = rusqlite::Connection::open(&path)?;
/// connection.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY)")?;
///
/// let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
/// tx.execute("INSERT INTO users DEFAULT VALUES", [])?;
/// let welcome = NewJob::new("send-welcome".parse()?, Payload::encode(&tx.last_insert_rowid())?);
/// jobs.enqueue(welcome).tx(&tx)?; // or a payload that is a `Task`
/// tx.commit()?; // the row and the job
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// Workers of all processes see the commit by themselves. [`tx_deferred`](Self::tx_deferred) lets
/// the application wake those of its own process at once.
///
/// While the transaction is open, no other connection writes to the file, workers included. Begin
/// it as `IMMEDIATE`: a deferred transaction that reads first may fail with `Busy` when it writes.
///
/// # Errors
/// Each error names its cause. Nothing was changed, and the transaction is still open.
/// - [`Invalid`](queue_core::ErrorKind::Invalid): the request is refused, there is no transaction,
///   or it is of another file or read-only.
/// - [`Conflict`](queue_core::ErrorKind::Conflict): an id is stored with other content.
/// - [`LeaseLost`](queue_core::ErrorKind::LeaseLost): the job cannot be completed any more. Do not
///   commit.
/// - [`Busy`](queue_core::ErrorKind::Busy): another connection holds the lock.
pub trait Tx: SqlRequest {
    /// Sends the request in the transaction, which a `Transaction` or a `Savepoint` derefs to.
    fn tx(self, transaction: &Connection) -> Result<Self::Handles>;

    /// Sends the request in the transaction. [`Deferred::wake`] wakes the workers of this process
    /// after the commit.
    fn tx_deferred(self, transaction: &Connection) -> Result<Deferred<Self::Handles>>;
}

impl<R: SqlRequest> Tx for R {
    fn tx(self, transaction: &Connection) -> Result<Self::Handles> {
        let request = self.into_sql(SqlDialect::Sqlite, SqlWake::AtCommit)?;
        let rows = send(&request, transaction)?;
        request.finish(rows)
    }

    fn tx_deferred(self, transaction: &Connection) -> Result<Deferred<Self::Handles>> {
        let request = self.into_sql(SqlDialect::Sqlite, SqlWake::Deferred)?;
        let rows = send(&request, transaction)?;
        request.finish_deferred(rows)
    }
}

fn send<H>(request: &SqlStatement<H>, connection: &Connection) -> Result<Vec<([u8; 16], String)>> {
    if connection.is_autocommit() {
        return Err(request.without_transaction());
    }
    let send = || -> std::result::Result<_, rusqlite::Error> {
        connection.prepare_cached(request.statement())?.execute([request.text()])?;
        let mut read = connection.prepare_cached(request.read_statement())?;
        read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    send().map_err(|error| {
        let message = error.to_string();
        request.failed(SqlFailure::new(&message, error))
    })
}

/// The statements of the SQL contract.
pub(crate) fn target() -> SqlTarget {
    SqlTarget::new(SqlDialect::Sqlite, ENQUEUE, COMPLETE, READ)
}

/// Reads the identity of the storage.
pub(crate) fn storage_id(connection: &Connection) -> Outcome<String> {
    Ok(connection.query_row(STORAGE_ID, [], |row| row.get(0))?)
}
