//! What a backend's author gives to the suite.

use std::sync::Arc;

use async_trait::async_trait;
use queue_core::Backend;

use super::fault::{Fault, FaultyStorage};
use super::storage::{SetupResult, Storage};

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
