//! Telling workers that there is something to do.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Hint, WakeHints};
use crate::JobId;
use crate::poison::ignore_poison;

/// What a receiver missed since it last looked, folded: however long it looks away, this stays as
/// small as the number of queues and priorities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wakes {
    /// One hint for each queue and priority that is ready now.
    pub ready: Vec<Hint>,
    /// How long until the first of the jobs that were entered for later is due, from their insert on.
    pub due_in: Option<Duration>,
    /// Running jobs that somebody wants cancelled.
    pub cancels: Vec<JobId>,
    /// Something changed, and the backend cannot say what: look at everything.
    pub unknown: bool,
}

impl Wakes {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<WakeHints> for Wakes {
    fn from(hints: WakeHints) -> Self {
        let ready = hints.ready();
        let due_in = hints.hints().skip(ready.len()).map(|hint| hint.due_in).min();
        Self { ready, due_in, cancels: hints.cancels, unknown: hints.unknown }
    }
}

#[derive(Default)]
struct Mailbox {
    pending: Mutex<WakeHints>,
    arrived: Notify,
}

impl Mailbox {
    fn post(&self, change: impl FnOnce(&mut WakeHints)) {
        change(&mut lock(&self.pending));
        self.arrived.notify_one();
    }
}

/// Keeps the receivers of a backend.
///
/// ```
/// use queue_core::backend::WakeHub;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = WakeHub::new();
/// let mut receiver = hub.subscribe();
/// hub.announce_unknown();
/// assert!(receiver.recv().await.unknown);
/// # });
/// ```
#[derive(Clone, Default)]
pub struct WakeHub(Arc<Mutex<Vec<Weak<Mailbox>>>>);

impl WakeHub {
    /// A hub without receivers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A receiver of all that is announced from now on.
    #[must_use]
    pub fn subscribe(&self) -> WakeReceiver {
        let mailbox = Arc::new(Mailbox::default());
        lock(&self.0).push(Arc::downgrade(&mailbox));
        WakeReceiver(mailbox)
    }

    /// Whether anybody receives, so that a backend which polls for announcements can stop.
    #[must_use]
    pub fn has_receivers(&self) -> bool {
        lock(&self.0).iter().any(|mailbox| mailbox.strong_count() > 0)
    }

    /// Says that jobs are ready, or will be. To be called after the commit.
    pub fn announce(&self, hints: &[Hint]) {
        if !hints.is_empty() {
            self.each(|pending| pending.extend(hints.iter().cloned()));
        }
    }

    /// Says that somebody wants these running jobs cancelled.
    pub fn announce_cancels(&self, jobs: &[JobId]) {
        if !jobs.is_empty() {
            self.each(|pending| pending.cancels.extend_from_slice(jobs));
        }
    }

    /// Announces everything that a transaction collected. To be called after the commit.
    pub fn announce_all(&self, hints: &WakeHints) {
        if !hints.is_empty() {
            self.each(|pending| pending.append(hints));
        }
    }

    /// Says that something changed.
    pub fn announce_unknown(&self) {
        self.each(|pending| pending.unknown = true);
    }

    fn each(&self, change: impl Fn(&mut WakeHints)) {
        lock(&self.0).retain(|mailbox| match mailbox.upgrade() {
            Some(mailbox) => {
                mailbox.post(&change);
                true
            }
            None => false,
        });
    }
}

impl fmt::Debug for WakeHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WakeHub({} receivers)", lock(&self.0).len())
    }
}

/// Receives what a backend announces.
pub struct WakeReceiver(Arc<Mailbox>);

impl WakeReceiver {
    /// Waits until there is something, and takes all of it.
    ///
    /// # Cancellation
    /// Nothing is lost when this future is dropped.
    pub async fn recv(&mut self) -> Wakes {
        loop {
            let wakes = self.take();
            if !wakes.is_empty() {
                return wakes;
            }
            self.0.arrived.notified().await;
        }
    }

    /// Takes what there is now.
    pub fn take(&mut self) -> Wakes {
        std::mem::take(&mut *lock(&self.0.pending)).into()
    }
}

impl fmt::Debug for WakeReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WakeReceiver")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    ignore_poison(mutex.lock())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{QueueName, Timestamp};

    fn hint(priority: i16, run_at: i64, due_in: Duration) -> Hint {
        let run_at = Timestamp::from_micros(run_at).unwrap();
        Hint { queue: QueueName::default(), priority, run_at, due_in }
    }

    #[test]
    fn announcements_fold_to_the_least_of_each_level() {
        let hub = WakeHub::new();
        let mut receiver = hub.subscribe();
        let later = Duration::from_secs(9);
        hub.announce(&[hint(0, 7, Duration::ZERO), hint(1, 8, Duration::ZERO)]);
        hub.announce(&[hint(0, 5, Duration::ZERO), hint(0, 99, later)]);
        let wakes = receiver.take();
        assert_eq!(wakes.ready, [hint(0, 5, Duration::ZERO), hint(1, 8, Duration::ZERO)]);
        assert_eq!(wakes.due_in, Some(later));
        assert!(receiver.take().is_empty());
    }

    #[test]
    fn a_dropped_receiver_is_forgotten() {
        let hub = WakeHub::new();
        let receiver = hub.subscribe();
        assert!(hub.has_receivers());
        drop(receiver);
        assert!(!hub.has_receivers());
        hub.announce_unknown();
        assert_eq!(format!("{hub:?}"), "WakeHub(0 receivers)");
    }
}
