//! A storage under test.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::{Backend, Complete, Deferred, Enqueue, JobHandle, JobId, NewJob};

/// A result with any error, because the suite only shows it.
pub type SetupResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// One storage. Dropping it must remove its data.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Opens a handle. The backend must offer `inspect` and `audit`.
    ///
    /// The suite calls this for the first handle. It opens further handles beside open ones if the
    /// backend declares `multi_process`, as another process would. It opens the storage again after
    /// the last handle was dropped if the backend declares `durable`. As the contract says,
    /// dropping the last handle closes the storage.
    async fn open(&self) -> SetupResult<Arc<dyn Backend>>;

    /// Returns the address, e.g. a path or a URL, that [`Subject::attach`](super::Subject::attach)
    /// gets in another process, and [`Subject::begin`](super::Subject::begin) in any (default:
    /// none). Without it, the cases that kill processes or begin transactions are ignored.
    fn address(&self) -> Option<String> {
        None
    }

    /// Copies all stored data, as an operator's backup does (default: `None`). Without it, the
    /// cases that restore a backup under open handles are ignored.
    async fn back_up(&self) -> SetupResult<Option<Box<dyn Backup>>> {
        Ok(None)
    }

    /// Makes a stored field of the job unreadable, as a program that writes wrong rows does, and
    /// returns `true` (default: `false`). Without it, the cases about damaged jobs are ignored. The
    /// suite asks once about a job that does not exist, and nothing is to be done then.
    async fn damage(&self, _job: JobId) -> SetupResult<bool> {
        Ok(false)
    }
}

/// An open transaction of an application. Dropping it closes its connection without a commit, as
/// the end of the process does.
#[async_trait]
pub trait ApplicationTransaction: Send {
    /// Enqueues in the transaction by the adapter of its driver.
    async fn enqueue(&mut self, batch: Enqueue<Vec<NewJob>>) -> queue_core::Result<Handles>;

    /// As [`enqueue`](Self::enqueue), without a wake-up at the commit.
    async fn enqueue_deferred(
        &mut self,
        batch: Enqueue<Vec<NewJob>>,
    ) -> queue_core::Result<Deferred<Handles>>;

    /// Completes a job in the transaction, as [`enqueue`](Self::enqueue) does.
    async fn complete(&mut self, job: Complete) -> queue_core::Result<()>;

    /// Commits.
    async fn commit(self: Box<Self>) -> SetupResult<()>;

    /// Rolls back.
    async fn roll_back(self: Box<Self>) -> SetupResult<()>;
}

/// The handles of a batch.
pub type Handles = Vec<JobHandle>;

/// A copy of all data of a storage.
#[async_trait]
pub trait Backup: Send + Sync {
    /// Replaces the stored data by the copy while handles are open, as described for operators in
    /// the backend's documentation.
    async fn restore(&self) -> SetupResult<()>;
}
