//! Waiting for a storage that is away.

use std::time::Duration;

use crate::runtime::Environment;
use crate::runtime::shared::worker_state::Engine;
use crate::{Error, Result};

/// Waits longer each time, up to a cap, and says once in a while what is wrong.
#[derive(Debug)]
pub(crate) struct Outage<'a> {
    environment: &'a dyn Environment,
    doing: &'static str,
    next: Duration,
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl<'a> Outage<'a> {
    pub(crate) fn new(engine: &'a Engine, doing: &'static str) -> Self {
        let first = engine.settings.outage_backoff;
        let cap = engine.settings.outage_backoff_cap;
        Self { environment: &*engine.environment, doing, next: first, first, cap, failures: 0 }
    }

    /// Takes note of a failure. The first, second, fourth, eighth, … in a row are logged.
    pub(crate) fn report(&mut self, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        if self.failures.is_power_of_two() {
            tracing::warn!(failures = self.failures, %error, "could not {}; trying again", self.doing);
        }
    }

    /// What was answered, if it was no failure; takes note of either.
    pub(crate) fn note<T>(&mut self, answer: Result<T>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.over();
                Some(answer)
            }
            Err(error) => {
                self.report(&error);
                None
            }
        }
    }

    /// Waits before the next try.
    pub(crate) async fn wait(&mut self) {
        let wait = self.next;
        self.next = self.next.saturating_mul(2).min(self.cap);
        self.environment.sleep(wait).await;
    }

    /// The storage is back.
    pub(crate) fn over(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "can {} again", self.doing);
        }
        self.failures = 0;
        self.next = self.first;
    }
}
