//! The events of attempts that a worker has settled.

use std::time::Duration;

use super::{EventBus, JobAttempt, JobEvent};
use crate::backend::{ClaimedJob, Settlement, Verdict};
use crate::{Kind, QueueName};

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
    /// Notes that a handler starts. Returns the attempt for [`settled`](Self::settled) if the end
    /// must be noted too.
    pub(crate) fn started(&self, job: &ClaimedJob) -> Option<Box<JobAttempt>> {
        if !self.is_observed() {
            return None;
        }
        let attempt = Box::new(JobAttempt::of(job));
        self.metrics().started(&attempt.kind, &attempt.queue);
        self.send(|| JobEvent::Started((*attempt).clone()));
        Some(attempt)
    }

    /// Notes that a settlement was stored. Without an attempt, the job had not started, or nothing
    /// was noted when it did.
    pub(crate) fn settled(&self, attempt: Option<Box<JobAttempt>>, settlement: Settlement) {
        if !self.is_observed() {
            return;
        }
        let (place, ran_for) = (attempt.as_deref().map(place), settlement.ran_for);
        match (ended(attempt, settlement), place) {
            (Some(event), Some(place)) => self.attempt_ended(place, event, ran_for),
            (Some(event), None) => self.send(|| event),
            (None, _) => {}
        }
    }

    /// Notes that a transaction of the handler has completed the job.
    pub(crate) fn completed_in_transaction(
        &self,
        attempt: Option<Box<JobAttempt>>,
        ran_for: Option<Duration>,
    ) {
        if let Some(attempt) = attempt {
            let (place, attempt) = (place(&attempt), *attempt);
            let event = JobEvent::Completed { attempt, ran_for: ran_for.unwrap_or_default() };
            self.attempt_ended(place, event, ran_for);
        }
    }

    /// Notes that the end of an attempt was dropped.
    pub(crate) fn lease_lost(&self, attempt: Option<Box<JobAttempt>>, ran_for: Option<Duration>) {
        if let Some(attempt) = attempt {
            self.attempt_ended(place(&attempt), JobEvent::LeaseLost(*attempt), ran_for);
        }
    }

    fn attempt_ended(&self, (kind, queue): Place, event: JobEvent, ran_for: Option<Duration>) {
        self.metrics().ended(&kind, &queue, &event, ran_for.unwrap_or_default());
        self.send(|| event);
    }
}

/// What the metrics of a job are grouped by.
type Place = (Kind, QueueName);

fn place(attempt: &JobAttempt) -> Place {
    (attempt.kind.clone(), attempt.queue.clone())
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
