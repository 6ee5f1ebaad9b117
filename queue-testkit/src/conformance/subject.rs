//! The interface between the suite and the author of a backend.

use std::sync::Arc;

use async_trait::async_trait;
use queue_core::Backend;

use super::fault::{Fault, FaultyStorage};
use super::storage::{ApplicationTransaction, SetupResult, Storage};

/// A backend under test.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// Creates an empty storage. It must be independent of all others, because cases run
    /// concurrently.
    ///
    /// Costly work, such as starting a server, must be here and not before [`main`](super::main),
    /// because a process that only attaches must not repeat it.
    async fn create(&self) -> SetupResult<Arc<dyn Storage>>;

    /// Opens a storage of another process by its [`address`](Storage::address). Must not migrate it
    /// further than [`open`](Storage::open) does. Children of the test program call only this
    /// method and [`begin`](Self::begin).
    async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
        Err(format!("`Storage::address` returned {address}, but `Subject::attach` is not implemented").into())
    }

    /// Begins a transaction of an application on the storage with this
    /// [`address`](Storage::address), on a connection that is not the backend's (default: `None`).
    /// Without it, the cases of Q6 are ignored.
    async fn begin(&self, address: &str) -> SetupResult<Option<Box<dyn ApplicationTransaction>>> {
        let _ = address;
        Ok(None)
    }

    /// Returns the faults that [`create_faulty`](Self::create_faulty) supports (default: none).
    /// Cases of other faults are shown as ignored.
    fn faults(&self) -> &'static [Fault] {
        &[]
    }

    /// Creates a storage like [`create`](Self::create) on which this fault can be caused. The fault
    /// must not affect any other storage.
    async fn create_faulty(&self, fault: Fault) -> SetupResult<Arc<dyn FaultyStorage>> {
        Err(format!("the subject cannot cause the fault `{fault}`").into())
    }
}
