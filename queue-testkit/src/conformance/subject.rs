//! What a backend's author gives to the suite.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::Backend;

use super::fault::{Fault, FaultyStorage};

/// Any error: the suite only shows it.
pub type SetupResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A backend under test.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// A fresh and empty storage, shared with no other: cases run at the same time.
    ///
    /// What is costly, such as starting a server, belongs here rather than before
    /// [`main`](super::main): a process that only attaches must not do it again.
    async fn create(&self) -> SetupResult<Arc<dyn Storage>>;

    /// Opens a storage of another process by its [`address`](Storage::address), without migrating it more than
    /// [`open`](Storage::open) does. Called in children of the test program, where nothing else is.
    async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
        Err(format!("`Storage::address` gave {address}, but `Subject::attach` is not written").into())
    }

    /// What can be done to a storage of this backend. Cases of other faults are shown as ignored; none can be
    /// done unless said.
    fn faults(&self) -> &'static [Fault] {
        &[]
    }

    /// A storage as [`create`](Self::create) makes it, on which one of these faults can be brought about without
    /// disturbing any other storage.
    async fn create_faulty(&self, fault: Fault) -> SetupResult<Arc<dyn FaultyStorage>> {
        Err(format!("the subject does not know how to bring about the fault `{fault}`").into())
    }
}

/// One storage. Dropping it removes what it keeps.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Opens the storage: for the first time, beside a handle that is open (if the backend declares
    /// `multi_process`, as another process would), or again after the last handle was dropped (if it
    /// declares `durable`): as the contract says, a handle that is dropped has closed the storage. The
    /// backend must offer `inspect` and `audit`.
    async fn open(&self) -> SetupResult<Arc<dyn Backend>>;

    /// By which another process finds the storage, e.g. a path or a URL; [`Subject::attach`] gets it. Without
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
