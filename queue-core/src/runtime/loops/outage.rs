//! Logs the failures of one operation, and waits between its tries.

use std::fmt;

use crate::Result;
use crate::runtime::decide::outage_backoff::OutageBackoff;
use crate::runtime::environment::Environment;
use crate::runtime::shared::worker_state::WorkerState;

/// The failures in a row of one operation.
#[derive(Debug)]
pub(crate) struct Outage<'a> {
    environment: &'a dyn Environment,
    /// For the log, e.g. `claim`.
    operation: &'static str,
    backoff: OutageBackoff,
}

impl<'a> Outage<'a> {
    pub(crate) fn new(worker: &'a WorkerState, operation: &'static str) -> Self {
        let backoff = OutageBackoff::new(&worker.settings);
        Self { environment: &*worker.environment, operation, backoff }
    }

    /// Counts a failure, and logs some of them.
    pub(crate) fn failed(&mut self, error: &impl fmt::Display) {
        if let Some(failures) = self.backoff.fail() {
            tracing::warn!(failures, %error, "{} failed; retrying", self.operation);
        }
    }

    /// Notes that the operation succeeded, and logs it after failures.
    pub(crate) fn succeeded(&mut self) {
        if let Some(failures) = self.backoff.recover() {
            tracing::info!(failures, "{} works again", self.operation);
        }
    }

    /// The reply, unless it is an error. Notes either.
    pub(crate) fn check<T>(&mut self, reply: Result<T>) -> Option<T> {
        match reply {
            Ok(reply) => {
                self.succeeded();
                Some(reply)
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    /// Waits before the next try.
    pub(crate) async fn wait(&mut self) {
        self.environment.sleep(self.backoff.next_wait()).await;
    }
}
