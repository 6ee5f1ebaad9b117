//! Wake-ups of workers, and of callers that wait for jobs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Hint, WakeHints};
use crate::JobId;
use crate::poison::ignore_poison;

/// The announcements since the receiver's last read. Hints are merged by queue and priority, so
/// that their number does not grow with the time between reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wakes {
    /// One hint per queue and priority with ready jobs.
    pub ready: Vec<Hint>,
    /// The shortest time until a waiting job is due, counted from its announcement.
    pub due_in: Option<Duration>,
    /// Running jobs whose cancel was requested.
    pub cancels: Vec<JobId>,
    /// [Watched](super::Watch::watch) jobs that have ended.
    pub finished: Vec<JobId>,
    /// More watched jobs have ended than are named.
    pub more_finished: bool,
    /// An unknown change: the receiver must look for ready jobs, cancels and ends itself.
    pub unknown: bool,
}

impl Wakes {
    /// Returns whether there is no announcement.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<WakeHints> for Wakes {
    fn from(hints: WakeHints) -> Self {
        let ready = hints.ready();
        let due_in = hints.hints().skip(ready.len()).map(|hint| hint.due_in).min();
        let WakeHints { cancels, finished, more_finished, unknown, .. } = hints;
        Self { ready, due_in, cancels, finished, more_finished, unknown }
    }
}

#[derive(Default)]
struct Mailbox {
    pending: Mutex<Pending>,
    arrived: Notify,
}

#[derive(Default)]
struct Pending {
    hints: WakeHints,
    topic: Topic,
}

/// The announcements that a receiver gets.
#[derive(Default, Clone, Copy)]
enum Topic {
    #[default]
    All,
    Jobs,
    Ends,
}

impl Mailbox {
    fn post(&self, hints: &WakeHints) {
        let mut pending = lock(&self.pending);
        let concerned = match pending.topic {
            Topic::All => {
                pending.hints.append(hints);
                true
            }
            Topic::Jobs => {
                pending.hints.append_jobs(hints);
                hints.concerns_workers()
            }
            Topic::Ends => {
                pending.hints.append_ends(hints);
                hints.concerns_waiters()
            }
        };
        drop(pending);
        if concerned {
            self.arrived.notify_one();
        }
    }
}

/// Keeps the receivers of a backend, and announces changes to them.
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

    /// Returns a receiver of the announcements from now on.
    #[must_use]
    pub fn subscribe(&self) -> WakeReceiver {
        let mailbox = Arc::new(Mailbox::default());
        lock(&self.0).push(Arc::downgrade(&mailbox));
        WakeReceiver(mailbox)
    }

    /// Returns whether there is a receiver, so that a backend without one can stop polling.
    #[must_use]
    pub fn has_receivers(&self) -> bool {
        lock(&self.0).iter().any(|mailbox| mailbox.strong_count() > 0)
    }

    /// Announces jobs that are ready, or will be ready later. Call it after the commit.
    pub fn announce(&self, hints: &[Hint]) {
        if !hints.is_empty() {
            self.announce_all(&hints.iter().cloned().collect());
        }
    }

    /// Announces running jobs whose cancel was requested. Call it after the commit.
    pub fn announce_cancels(&self, jobs: &[JobId]) {
        if !jobs.is_empty() {
            let mut hints = WakeHints::new();
            hints.cancels.extend_from_slice(jobs);
            self.announce_all(&hints);
        }
    }

    /// Announces all hints that a transaction collected. Call it after the commit.
    pub fn announce_all(&self, hints: &WakeHints) {
        if !hints.is_empty() {
            lock(&self.0)
                .retain(|mailbox| mailbox.upgrade().inspect(|mailbox| mailbox.post(hints)).is_some());
        }
    }

    /// Announces an unknown change.
    pub fn announce_unknown(&self) {
        let mut hints = WakeHints::new();
        hints.add_unknown();
        self.announce_all(&hints);
    }
}

impl fmt::Debug for WakeHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WakeHub({} receivers)", lock(&self.0).len())
    }
}

/// Receives the announcements of a backend.
pub struct WakeReceiver(Arc<Mailbox>);

impl WakeReceiver {
    /// Makes it receive only the announcements that concern workers: ready jobs, cancels and
    /// unknown changes. The ends of watched jobs then do not wake its caller.
    #[must_use]
    pub fn only_jobs(self) -> Self {
        self.only(Topic::Jobs)
    }

    /// Makes it receive only the announcements that concern callers that wait for jobs: the ends of
    /// watched jobs, and unknown changes.
    #[must_use]
    pub fn only_ends(self) -> Self {
        self.only(Topic::Ends)
    }

    fn only(self, topic: Topic) -> Self {
        lock(&self.0.pending).topic = topic;
        self
    }

    /// Waits for an announcement, then takes all of them.
    ///
    /// # Cancellation
    /// If this future is dropped, no announcement is lost.
    pub async fn recv(&mut self) -> Wakes {
        loop {
            let wakes = self.take();
            if !wakes.is_empty() {
                return wakes;
            }
            self.0.arrived.notified().await;
        }
    }

    /// Takes the current announcements without waiting.
    pub fn take(&mut self) -> Wakes {
        std::mem::take(&mut lock(&self.0.pending).hints).into()
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
    fn announcements_merge_to_the_first_of_each_level() {
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
    fn receiver_of_a_topic_is_woken_only_for_it() {
        let hub = WakeHub::new();
        let (mut jobs, mut ends) = (hub.subscribe().only_jobs(), hub.subscribe().only_ends());
        let job = JobId::generate();
        let mut end = WakeHints::new();
        end.add_finished(job);
        hub.announce_all(&end);
        assert_eq!((jobs.take(), ends.take().finished), (Wakes::default(), vec![job]));
        hub.announce_cancels(&[job]);
        assert_eq!((jobs.take().cancels, ends.take()), (vec![job], Wakes::default()));
        hub.announce_unknown();
        assert!(jobs.take().unknown && ends.take().unknown);
    }

    #[test]
    fn dropped_receiver_is_removed() {
        let hub = WakeHub::new();
        let receiver = hub.subscribe();
        assert!(hub.has_receivers());
        drop(receiver);
        assert!(!hub.has_receivers());
        hub.announce_unknown();
        assert_eq!(format!("{hub:?}"), "WakeHub(0 receivers)");
    }
}
