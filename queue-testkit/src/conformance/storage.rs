//! A storage under test.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::Backend;

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
    /// gets in another process (default: none). Without it, the cases that kill processes are
    /// ignored.
    fn address(&self) -> Option<String> {
        None
    }

    /// Copies all stored data, as an operator's backup does (default: `None`). Without it, the
    /// cases that restore a backup under open handles are ignored.
    async fn back_up(&self) -> SetupResult<Option<Box<dyn Backup>>> {
        Ok(None)
    }
}

/// A copy of all data of a storage.
#[async_trait]
pub trait Backup: Send + Sync {
    /// Replaces the stored data by the copy while handles are open, as described for operators in
    /// the backend's documentation.
    async fn restore(&self) -> SetupResult<()>;
}
