//! A transaction of an application, by rusqlite.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::{Complete, Deferred, Enqueue, NewJob};
use queue_sqlite::Tx as _;
use queue_testkit::conformance::{ApplicationTransaction, Handles, SetupResult};
use rusqlite::Connection;
use tokio::task::spawn_blocking;

/// Maximum wait for the lock.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection with an open transaction.
pub(crate) struct Transaction(Mutex<Connection>);

impl Transaction {
    pub(crate) async fn begin(path: PathBuf) -> SetupResult<Self> {
        let begun = spawn_blocking(move || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(PATIENCE)?;
            connection.execute_batch("BEGIN IMMEDIATE")?;
            Ok::<_, rusqlite::Error>(connection)
        });
        Ok(Self(Mutex::new(begun.await??)))
    }
}

#[async_trait]
impl ApplicationTransaction for Transaction {
    async fn enqueue(&mut self, batch: Enqueue<Vec<NewJob>>) -> queue_core::Result<Handles> {
        batch.tx(self.0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    async fn enqueue_deferred(
        &mut self,
        batch: Enqueue<Vec<NewJob>>,
    ) -> queue_core::Result<Deferred<Handles>> {
        batch.tx_deferred(self.0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    async fn complete(&mut self, job: Complete) -> queue_core::Result<()> {
        job.tx(self.0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    async fn commit(mut self: Box<Self>) -> SetupResult<()> {
        let connection = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Ok(connection.execute_batch("COMMIT")?)
    }

    async fn roll_back(mut self: Box<Self>) -> SetupResult<()> {
        let connection = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Ok(connection.execute_batch("ROLLBACK")?)
    }
}
