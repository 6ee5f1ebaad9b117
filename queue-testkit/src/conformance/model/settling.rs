//! Settles of the model.

use queue_core::backend::{Completion, Settled, Settlement, Verdict};
use queue_core::{JobState, Timestamp};

use super::{Job, Model, Reason};

impl Model {
    pub(super) fn settle(&mut self, now: Timestamp, settlement: &Settlement) -> Settled {
        let Settlement { token, verdict, .. } = settlement;
        let Some(job) = self.job(token.job) else { return Settled::LeaseLost };
        if job.lease.as_ref().is_none_or(|lease| lease.claim != token.claim) {
            let is_repeated = job.ended_by == Some(token.claim) && ends_as(verdict, job.state);
            return if is_repeated { Settled::Done } else { Settled::LeaseLost };
        }
        apply(job, now, settlement);
        Settled::Done
    }
}

fn ends_as(verdict: &Verdict, state: JobState) -> bool {
    match verdict {
        Verdict::Complete(_) => state == JobState::Completed,
        Verdict::Retry { .. } | Verdict::Bury { .. } => state == JobState::Dead,
        Verdict::Cancel { .. } => state == JobState::Cancelled,
        _ => false,
    }
}

fn apply(job: &mut Job, now: Timestamp, settlement: &Settlement) {
    let Settlement { token, verdict, ran_for, .. } = settlement;
    match verdict {
        Verdict::Complete(Completion { result, .. }) => {
            job.result.clone_from(result);
            job.finish(JobState::Completed, now, Some(token.claim), Reason::None);
        }
        Verdict::Retry { error, delay } if job.attempt < job.max_attempts() => {
            job.fail(now, error, *ran_for);
            job.lease = None;
            job.state = JobState::Retrying;
            job.run_at = now.saturating_add(*delay);
        }
        Verdict::Retry { error, .. } | Verdict::Bury { error } => {
            job.fail(now, error, *ran_for);
            job.finish(JobState::Dead, now, Some(token.claim), Reason::Text(error.clone()));
        }
        Verdict::Cancel { reason } => {
            job.finish(JobState::Cancelled, now, Some(token.claim), Reason::Text(reason.clone()));
        }
        Verdict::Snooze { delay } => {
            job.attempt -= 1;
            job.lease = None;
            job.state = if delay.is_zero() { JobState::Ready } else { JobState::Scheduled };
            job.run_at = now.saturating_add(*delay);
        }
        // A release. For a verdict that the model does not know, the comparison fails.
        _ => {
            job.attempt -= 1;
            job.lease = None;
            job.state = JobState::Ready;
        }
    }
}
