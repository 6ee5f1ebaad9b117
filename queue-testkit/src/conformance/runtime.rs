//! The tokio runtime of one case.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

/// Starts a runtime for one case, or for one child process.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().context("a runtime cannot be started")
}
