//! How long a loop waits after its storage failed, and which failures it logs.

use std::time::Duration;

use crate::runtime::settings::WorkerSettings;

/// Doubles the wait after each failure, up to a cap.
#[derive(Debug)]
pub(crate) struct OutageBackoff {
    next: Duration,
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl OutageBackoff {
    pub(crate) const fn new(settings: &WorkerSettings) -> Self {
        let (first, cap) = (settings.outage_backoff, settings.outage_backoff_cap);
        Self { next: first, first, cap, failures: 0 }
    }

    /// Counts a failure. Returns the failures in a row if this one must be logged: the first,
    /// second, fourth, eighth, …, because an outage of hours would otherwise fill the log.
    pub(crate) fn fail(&mut self) -> Option<u32> {
        self.failures = self.failures.saturating_add(1);
        self.failures.is_power_of_two().then_some(self.failures)
    }

    /// How long to wait before the next try.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = self.next.saturating_mul(2).min(self.cap);
        wait
    }

    /// Starts over. Returns how many failures there were, if any.
    pub(crate) fn recover(&mut self) -> Option<u32> {
        let failures = std::mem::take(&mut self.failures);
        self.next = self.first;
        (failures > 0).then_some(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_doubles_up_to_cap() {
        let mut backoff = OutageBackoff::new(&WorkerSettings::default());
        let waits: Vec<_> = (0..9).map(|_| backoff.next_wait().as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.recover();
        assert_eq!(backoff.next_wait().as_millis(), 50);
    }

    #[test]
    fn failures_in_a_row_are_logged_ever_more_rarely() {
        let mut backoff = OutageBackoff::new(&WorkerSettings::default());
        let logged: Vec<_> = (0..9).filter_map(|_| backoff.fail()).collect();
        assert_eq!(logged, [1, 2, 4, 8]);
        assert_eq!(backoff.recover(), Some(9));
        assert_eq!(backoff.recover(), None);
    }
}
