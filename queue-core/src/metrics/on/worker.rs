//! What workers measure.

use std::time::Duration;

use metrics::{
    Gauge, Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::{Metrics, labels, system};
use crate::{JobAttempt, JobEvent, Kind, QueueName};

pub(super) const CONSUMED: &str = "messaging.client.consumed.messages";
pub(super) const PROCESS: &str = "messaging.process.duration";
const RESCUED: &str = "queue.worker.rescued.jobs";
const LOST: &str = "queue.worker.lost";
const UNSETTLED: &str = "queue.worker.unsettled.attempts";
const OUTCOME: &str = "queue.job.outcome";
const SLOTS: &str = "queue.worker.slots";
const BUSY: &str = "queue.worker.busy_slots";

/// How an attempt ended.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Completed,
    Failed,
    Dead,
    Cancelled,
    Snoozed,
    Released,
}

impl Outcome {
    pub(super) const COUNT: usize = Self::Released as usize + 1;

    const fn of(event: &JobEvent) -> Option<Self> {
        Some(match event {
            JobEvent::Completed { .. } => Self::Completed,
            JobEvent::Failed { .. } => Self::Failed,
            JobEvent::Dead { .. } => Self::Dead,
            JobEvent::Cancelled { .. } => Self::Cancelled,
            JobEvent::Snoozed { .. } => Self::Snoozed,
            JobEvent::Released(_) => Self::Released,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Snoozed => "snoozed",
            Self::Released => "released",
        }
    }

    const fn is_error(self) -> bool {
        matches!(self, Self::Failed | Self::Dead)
    }
}

impl Metrics {
    /// A handler starts.
    pub(crate) fn started(&self, kind: &Kind, queue: &QueueName) {
        let create = || counter!(CONSUMED, labels("claim", kind, queue));
        self.of_jobs(kind, queue).consumed.get_or_init(create).increment(1);
    }

    /// An attempt has ended by this event. Of one that was not settled, no time is known.
    pub(crate) fn ended(&self, attempt: &JobAttempt, event: &JobEvent, ran_for: Duration) {
        let (kind, queue) = (&attempt.kind, &attempt.queue);
        let Some(outcome) = Outcome::of(event) else {
            return counter!(UNSETTLED, labels("process", kind, queue)).increment(1);
        };
        let create = || {
            let mut labels = labels("process", kind, queue);
            labels.push(Label::from_static_parts(OUTCOME, outcome.name()));
            if outcome.is_error() {
                labels.push(Label::from_static_parts("error.type", outcome.name()));
            }
            histogram!(PROCESS, labels)
        };
        self.of_jobs(kind, queue).ended[outcome as usize].get_or_init(create).record(ran_for);
    }

    /// A worker has rescued the jobs of others.
    pub(crate) fn rescued(&self, workers_lost: u64, rescued: u64, died: u64) {
        counter!(LOST, vec![system()]).increment(workers_lost);
        for (outcome, jobs) in [("ready", rescued), ("dead", died)] {
            counter!(RESCUED, vec![system(), Label::new(OUTCOME, outcome)]).increment(jobs);
        }
    }

    /// This many slots exist, as long as the value is kept.
    pub(crate) fn slots(&self, slots: usize) -> Held {
        super::describe();
        #[expect(clippy::cast_precision_loss, reason = "a worker has far fewer slots than 2^52")]
        Held::new(gauge!(SLOTS, vec![system()]), slots as f64)
    }

    /// One slot is busy, as long as the value is kept.
    pub(crate) fn busy(&self) -> Held {
        let gauge = self.busy.get_or_init(|| gauge!(BUSY, vec![system()]));
        Held::new(gauge.clone(), 1.0)
    }
}

/// A part of a gauge.
#[derive(Debug)]
pub(crate) struct Held(Gauge, f64);

impl Held {
    fn new(gauge: Gauge, value: f64) -> Self {
        gauge.increment(value);
        Self(gauge, value)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(self.1);
    }
}

/// Gives the recorder units and descriptions.
pub(super) fn describe() {
    describe_counter!(CONSUMED, Unit::Count, "Attempts that started");
    describe_histogram!(PROCESS, Unit::Seconds, "How long handlers ran, by outcome");
    describe_counter!(UNSETTLED, Unit::Count, "Attempts whose end is not known to be stored");
    describe_counter!(LOST, Unit::Count, "Workers of any process that this one has found lost");
    describe_counter!(RESCUED, Unit::Count, "Jobs of lost workers whose leases this process has ended");
    describe_gauge!(SLOTS, Unit::Count, "Slots of the workers of this process");
    describe_gauge!(BUSY, Unit::Count, "Slots that run a handler");
}
