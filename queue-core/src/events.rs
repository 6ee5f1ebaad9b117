//! What happens to the jobs of a queue, for programs that subscribe.

#[cfg(feature = "runtime")]
mod noted;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

#[cfg(feature = "runtime")]
pub(crate) use noted::NotedAttempt;

use crate::metrics::Metrics;
use crate::{JobId, Kind, QueueName};

/// The largest buffer of events: more would not fit into memory.
const MAX_BUFFER: usize = 1 << 20;

/// What happened to a job, as this process saw it. [`JobQueue::events`](crate::JobQueue::events)
/// subscribes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobEvent {
    /// The job was inserted.
    Enqueued {
        /// The job.
        job: JobId,
        /// Its kind.
        kind: Kind,
        /// Its queue.
        queue: QueueName,
    },
    /// Its handler starts.
    Started(JobAttempt),
    /// The job is completed.
    Completed {
        /// The attempt that completed it.
        attempt: JobAttempt,
        /// How long the handler ran.
        ran_for: Duration,
    },
    /// The attempt failed, and the job runs again.
    Failed {
        /// The attempt.
        attempt: JobAttempt,
        /// How long the handler ran.
        ran_for: Duration,
        /// Its error, as it was stored. That of a payload that does not decode may quote it.
        error: String,
        /// When the job runs again, from now on.
        retry_in: Duration,
    },
    /// The attempt failed, and was the last one.
    Dead {
        /// The attempt.
        attempt: JobAttempt,
        /// How long the handler ran.
        ran_for: Duration,
        /// Its error, as it was stored. That of a payload that does not decode may quote it.
        error: String,
    },
    /// The handler asked to run again later, and the attempt was refunded.
    Snoozed {
        /// The attempt.
        attempt: JobAttempt,
        /// When the job runs again, from now on.
        delay: Duration,
    },
    /// The shutdown of the worker ended the attempt. The job runs again, on any worker.
    Released(JobAttempt),
    /// The attempt is over, and no settlement of it is known to be stored: its lease was lost, the
    /// storage did not accept it or its reply was lost, or the worker was dropped. If it was not
    /// stored, the job runs again, or is dead after its last attempt.
    Unsettled(JobAttempt),
    /// The job is cancelled.
    Cancelled {
        /// The job.
        job: JobId,
        /// The attempt that ended so. `None` if the job had not started.
        attempt: Option<JobAttempt>,
        /// The reason that a worker stored. `None` if a request cancelled the job.
        reason: Option<String>,
    },
    /// A finished job was made ready again by hand.
    Retried {
        /// The job.
        job: JobId,
    },
    /// A worker of this process has found workers lost, and has ended their leases.
    Rescued {
        /// The number of workers that were lost.
        workers_lost: u64,
        /// The number of their jobs that run again.
        rescued: u64,
        /// The number of their jobs that are dead, because no attempt was left.
        died: u64,
    },
    /// This many events were dropped, because the program did not read them in time.
    Missed(u64),
}

impl JobEvent {
    /// Returns the job that it is about. `None` for [`Rescued`](Self::Rescued) and
    /// [`Missed`](Self::Missed).
    #[must_use]
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Enqueued { job, .. } | Self::Cancelled { job, .. } | Self::Retried { job } => Some(*job),
            Self::Started(attempt)
            | Self::Completed { attempt, .. }
            | Self::Failed { attempt, .. }
            | Self::Dead { attempt, .. }
            | Self::Snoozed { attempt, .. }
            | Self::Released(attempt)
            | Self::Unsettled(attempt) => Some(attempt.job),
            Self::Rescued { .. } | Self::Missed(_) => None,
        }
    }
}

/// One attempt of a job, in a [`JobEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobAttempt {
    /// The job.
    pub job: JobId,
    /// Its kind.
    pub kind: Kind,
    /// Its queue.
    pub queue: QueueName,
    /// The attempt: 1, 2, …
    pub attempt: u32,
    /// The maximum number of retries: the last attempt is one more.
    pub max_retries: u16,
}

/// The events of a queue, in the order in which this process noted them. They are made by
/// [`JobQueue::events`](crate::JobQueue::events).
#[must_use = "events are dropped unless they are read"]
pub struct JobEvents {
    receiver: broadcast::Receiver<JobEvent>,
    observers: Weak<Observers>,
}

impl JobEvents {
    /// Waits for the next event. `None` if there can be no more, because the queue and its workers
    /// were dropped.
    ///
    /// # Cancellation
    /// If the future is dropped, no event is lost.
    pub async fn next(&mut self) -> Option<JobEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(JobEvent::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl fmt::Debug for JobEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobEvents").field("waiting", &self.receiver.len()).finish()
    }
}

impl Drop for JobEvents {
    fn drop(&mut self) {
        if let Some(observers) = self.observers.upgrade() {
            observers.subscribers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Passes what happens to the subscribers of a queue, and to the metrics. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct EventBus(Arc<Observers>);

#[derive(Default)]
struct Observers {
    /// Created by the first subscription.
    sender: OnceLock<broadcast::Sender<JobEvent>>,
    /// Counted apart, because the channel counts its receivers under a lock.
    subscribers: AtomicUsize,
    metrics: Metrics,
}

impl EventBus {
    /// The first call decides the size of the buffer.
    pub(crate) fn subscribe(&self, buffer: usize) -> JobEvents {
        let sender = self.0.sender.get_or_init(|| broadcast::Sender::new(buffer.clamp(1, MAX_BUFFER)));
        self.0.subscribers.fetch_add(1, Ordering::Relaxed);
        JobEvents { receiver: sender.subscribe(), observers: Arc::downgrade(&self.0) }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Whether there is a subscriber, or a metric. Without, nothing need be noted.
    pub(crate) fn is_observed(&self) -> bool {
        Metrics::ON || self.sender().is_some()
    }

    fn sender(&self) -> Option<&broadcast::Sender<JobEvent>> {
        self.0.sender.get().filter(|_| self.0.subscribers.load(Ordering::Relaxed) > 0)
    }

    /// Passes an event on, without waiting for those who read it.
    pub(crate) fn send(&self, event: impl FnOnce() -> JobEvent) {
        if let Some(sender) = self.sender() {
            // An error says that the last subscriber has just left.
            let _ = sender.send(event());
        }
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBus").field("is_observed", &self.is_observed()).finish()
    }
}
