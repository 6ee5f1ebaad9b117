//! Telling workers that there is something to do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::poison::ignore_poison;
use crate::{JobId, QueueName, Timestamp};

/// Jobs of one queue and priority that are ready, or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint {
    /// Their queue.
    pub queue: QueueName,
    /// Their priority.
    pub priority: i16,
    /// The least `run_at` among them, for the cursor.
    pub run_at: Timestamp,
    /// How long until the first of them is due; zero if it is ready now.
    pub due_in: Duration,
}

impl Hint {
    /// Jobs that are ready now.
    #[must_use]
    pub const fn new(queue: QueueName, priority: i16, run_at: Timestamp) -> Self {
        Self { queue, priority, run_at, due_in: Duration::ZERO }
    }

    /// Jobs that are ready only after this time.
    #[must_use]
    pub const fn due_in(mut self, due_in: Duration) -> Self {
        self.due_in = due_in;
        self
    }
}

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

#[derive(Default)]
struct Pending {
    ready: BTreeMap<(QueueName, i16), Timestamp>,
    due_in: Option<Duration>,
    cancels: Vec<JobId>,
    unknown: bool,
}

impl Pending {
    fn add(&mut self, hint: &Hint) {
        if hint.due_in.is_zero() {
            let least = self.ready.entry((hint.queue.clone(), hint.priority)).or_insert(hint.run_at);
            *least = hint.run_at.min(*least);
        } else {
            self.due_in = Some(self.due_in.map_or(hint.due_in, |due| due.min(hint.due_in)));
        }
    }

    fn into_wakes(self) -> Wakes {
        let hint = |((queue, priority), run_at)| Hint { queue, priority, run_at, due_in: Duration::ZERO };
        Wakes {
            ready: self.ready.into_iter().map(hint).collect(),
            due_in: self.due_in,
            cancels: self.cancels,
            unknown: self.unknown,
        }
    }
}

#[derive(Default)]
struct Mailbox {
    pending: Mutex<Pending>,
    arrived: Notify,
}

impl Mailbox {
    fn post(&self, change: impl FnOnce(&mut Pending)) {
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
            self.each(|pending| hints.iter().for_each(|hint| pending.add(hint)));
        }
    }

    /// Says that somebody wants these running jobs cancelled.
    pub fn announce_cancels(&self, jobs: &[JobId]) {
        if !jobs.is_empty() {
            self.each(|pending| pending.cancels.extend_from_slice(jobs));
        }
    }

    /// Says that something changed.
    pub fn announce_unknown(&self) {
        self.each(|pending| pending.unknown = true);
    }

    fn each(&self, change: impl Fn(&mut Pending)) {
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
        std::mem::take(&mut *lock(&self.0.pending)).into_wakes()
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
