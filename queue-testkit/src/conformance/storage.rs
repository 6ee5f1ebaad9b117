//! A storage under test.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::Backend;

/// Any error: the suite only shows it.
pub type SetupResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// One storage. Dropping it removes what it keeps.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Opens the storage: for the first time, beside a handle that is open (if the backend declares
    /// `multi_process`, as another process would), or again after the last handle was dropped (if it
    /// declares `durable`): as the contract says, a handle that is dropped has closed the storage. The
    /// backend must offer `inspect` and `audit`.
    async fn open(&self) -> SetupResult<Arc<dyn Backend>>;

    /// By which another process finds the storage, e.g. a path or a URL; [`Subject::attach`](super::Subject::attach) gets it. Without
    /// one, the cases in which such processes are killed are ignored.
    fn address(&self) -> Option<String> {
        None
    }

    /// Takes a copy of all that is stored now, as an operator's backup does. Without one, as by default, the cases in which a
    /// storage is restored under open handles are ignored.
    async fn back_up(&self) -> SetupResult<Option<Box<dyn Backup>>> {
        Ok(None)
    }
}

/// A copy of all that a storage held.
#[async_trait]
pub trait Backup: Send + Sync {
    /// Puts the copy in the place of what is stored, in the way that the backend's documentation gives to operators, while
    /// handles are open.
    async fn restore(&self) -> SetupResult<()>;
}
