//! The events of attempts that a worker has settled.

use super::{EventBus, JobAttempt, JobEvent};
use crate::backend::{ClaimedJob, Settlement, Verdict};

impl JobAttempt {
    fn of(job: &ClaimedJob) -> Self {
        let (kind, queue) = (job.kind.clone(), job.queue.clone());
        Self { job: job.token.job, kind, queue, attempt: job.attempt, max_retries: job.max_retries }
    }

    fn is_last(&self) -> bool {
        self.attempt > u32::from(self.max_retries)
    }
}

impl EventBus {
    /// Passes on that a handler starts. Returns the attempt for [`settled`](Self::settled) if there
    /// is a subscriber.
    pub(crate) fn started(&self, job: &ClaimedJob) -> Option<Box<JobAttempt>> {
        if !self.is_observed() {
            return None;
        }
        let attempt = Box::new(JobAttempt::of(job));
        self.send(|| JobEvent::Started((*attempt).clone()));
        Some(attempt)
    }

    /// Passes on that a settlement was stored. Without an attempt, the job had not started, or
    /// there was no subscriber when it did.
    pub(crate) fn settled(&self, attempt: Option<Box<JobAttempt>>, settlement: Settlement) {
        if self.is_observed()
            && let Some(event) = ended(attempt, settlement)
        {
            self.send(|| event);
        }
    }

    /// Passes on that a transaction of the handler has completed the job.
    pub(crate) fn completed_in_transaction(&self, attempt: Option<Box<JobAttempt>>, settlement: &Settlement) {
        if let Some(attempt) = attempt {
            let ran_for = settlement.ran_for.unwrap_or_default();
            self.send(|| JobEvent::Completed { attempt: *attempt, ran_for });
        }
    }
}

fn ended(attempt: Option<Box<JobAttempt>>, settlement: Settlement) -> Option<JobEvent> {
    let Settlement { token, verdict, ran_for } = settlement;
    let ran_for = ran_for.unwrap_or_default();
    Some(match (verdict, attempt.map(|attempt| *attempt)) {
        (Verdict::Cancel { reason }, _) => JobEvent::Cancelled { job: token.job, reason: Some(reason) },
        (_, None) => return None,
        (Verdict::Complete(_), Some(attempt)) => JobEvent::Completed { attempt, ran_for },
        (Verdict::Retry { error, delay }, Some(attempt)) if !attempt.is_last() => {
            JobEvent::Failed { attempt, ran_for, error, retry_in: delay }
        }
        (Verdict::Retry { error, .. } | Verdict::Bury { error }, Some(attempt)) => {
            JobEvent::Dead { attempt, ran_for, error }
        }
        (Verdict::Snooze { delay }, Some(attempt)) => JobEvent::Snoozed { attempt, delay },
        (Verdict::Release, Some(attempt)) => JobEvent::Released(attempt),
    })
}
