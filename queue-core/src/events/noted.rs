//! An attempt whose end is noted once: with its settlement, or else when it is dropped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{EventBus, JobAttempt, JobEvent};
use crate::backend::{ClaimedJob, Settlement, Verdict};

/// An attempt that was noted as started. If its end is not noted, its drop is.
pub(crate) struct NotedAttempt {
    bus: EventBus,
    attempt: JobAttempt,
    has_ended: AtomicBool,
}

impl EventBus {
    /// Notes that a handler starts. `None` if nothing observes the queue.
    pub(crate) fn started(&self, job: &ClaimedJob) -> Option<Arc<NotedAttempt>> {
        if !self.is_observed() {
            return None;
        }
        let attempt = JobAttempt::of(job);
        self.metrics().started(&attempt.kind, &attempt.queue);
        self.send(|| JobEvent::Started(attempt.clone()));
        Some(Arc::new(NotedAttempt { bus: self.clone(), attempt, has_ended: AtomicBool::new(false) }))
    }

    /// Notes that a settlement was stored. Without an attempt, the job had not started, or its
    /// start was not noted.
    pub(crate) fn settled(&self, attempt: Option<&NotedAttempt>, settlement: Settlement) {
        let job = settlement.token.job;
        match (attempt, settlement.verdict) {
            (Some(attempt), verdict) => attempt.settled(verdict, settlement.ran_for.unwrap_or_default()),
            (None, Verdict::Cancel { reason }) => {
                self.send(|| JobEvent::Cancelled { job, attempt: None, reason: Some(reason) });
            }
            (None, _) => {}
        }
    }
}

impl NotedAttempt {
    /// Notes that a transaction of the handler has completed the job.
    pub(crate) fn completed_in_transaction(&self, ran_for: Option<Duration>) {
        let ran_for = ran_for.unwrap_or_default();
        self.end(ran_for, |attempt| JobEvent::Completed { attempt, ran_for });
    }

    fn settled(&self, verdict: Verdict, ran_for: Duration) {
        self.end(ran_for, |attempt| match verdict {
            Verdict::Complete(_) => JobEvent::Completed { attempt, ran_for },
            Verdict::Retry { error, delay } if !attempt.is_last() => {
                JobEvent::Failed { attempt, ran_for, error, retry_in: delay }
            }
            Verdict::Retry { error, .. } | Verdict::Bury { error } => {
                JobEvent::Dead { attempt, ran_for, error }
            }
            Verdict::Snooze { delay } => JobEvent::Snoozed { attempt, delay },
            Verdict::Cancel { reason } => {
                JobEvent::Cancelled { job: attempt.job, attempt: Some(attempt), reason: Some(reason) }
            }
            Verdict::Release => JobEvent::Released(attempt),
        });
    }

    fn end(&self, ran_for: Duration, event: impl FnOnce(JobAttempt) -> JobEvent) {
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let event = event(self.attempt.clone());
        self.bus.metrics().ended(&self.attempt, &event, ran_for);
        self.bus.send(|| event);
    }
}

impl Drop for NotedAttempt {
    fn drop(&mut self) {
        self.end(Duration::ZERO, JobEvent::Unsettled);
    }
}

impl PartialEq for NotedAttempt {
    fn eq(&self, other: &Self) -> bool {
        self.attempt == other.attempt
    }
}

impl fmt::Debug for NotedAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attempt.fmt(f)
    }
}

impl JobAttempt {
    fn of(job: &ClaimedJob) -> Self {
        let (kind, queue) = (job.kind.clone(), job.queue.clone());
        Self { job: job.token.job, kind, queue, attempt: job.attempt, max_retries: job.max_retries }
    }

    fn is_last(&self) -> bool {
        self.attempt > u32::from(self.max_retries)
    }
}
