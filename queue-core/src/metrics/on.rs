//! Measures through the crate `metrics`.

#[cfg(feature = "runtime")]
mod worker;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

#[cfg(feature = "runtime")]
use metrics::Gauge;
use metrics::{Counter, Histogram, Label, Unit, counter, describe_counter, describe_histogram, histogram};

#[cfg(feature = "runtime")]
pub(crate) use worker::Held;

use super::Operation;
use crate::poison::ignore_poison;
use crate::{Kind, QueueName, Result};

const SENT: &str = "messaging.client.sent.messages";
const OPERATION: &str = "messaging.client.operation.duration";

/// The measured values of one queue handle and its workers. The handles of the recorder are kept,
/// because to look one up costs more than to count.
#[derive(Default)]
pub(crate) struct Metrics {
    of_jobs: RwLock<HashMap<(Kind, QueueName), Arc<OfJobs>>>,
    /// Of replies without an error, in the order of [`Operation`].
    operations: [OnceLock<Histogram>; Operation::COUNT],
    #[cfg(feature = "runtime")]
    busy: OnceLock<Gauge>,
}

/// Those of the jobs of one kind in one queue.
#[derive(Default)]
struct OfJobs {
    sent: OnceLock<Counter>,
    #[cfg(feature = "runtime")]
    consumed: OnceLock<Counter>,
    /// In the order of [`worker::Outcome`].
    #[cfg(feature = "runtime")]
    ended: [OnceLock<Histogram>; worker::Outcome::COUNT],
}

impl Metrics {
    pub(crate) const ON: bool = true;

    /// A job was inserted.
    pub(crate) fn enqueued(&self, kind: &Kind, queue: &QueueName) {
        let create = || counter!(SENT, labels("enqueue", kind, queue));
        self.of_jobs(kind, queue).sent.get_or_init(create).increment(1);
    }

    /// The storage has answered, or has not.
    pub(crate) fn answered<T>(&self, operation: Operation, took: Duration, reply: &Result<T>) {
        let name = match operation {
            Operation::Enqueue => "enqueue",
            #[cfg(feature = "runtime")]
            Operation::Claim => "claim",
            #[cfg(feature = "runtime")]
            Operation::Settle => "settle",
        };
        let labels = || {
            let kind = Label::from_static_parts("messaging.operation.type", operation_type(name));
            vec![system(), Label::from_static_parts("messaging.operation.name", name), kind]
        };
        match reply {
            Ok(_) => {
                let histogram =
                    self.operations[operation as usize].get_or_init(|| histogram!(OPERATION, labels()));
                histogram.record(took);
            }
            Err(error) => {
                let mut labels = labels();
                labels.push(Label::new("error.type", format!("{:?}", error.kind())));
                histogram!(OPERATION, labels).record(took);
            }
        }
    }

    fn of_jobs(&self, kind: &Kind, queue: &QueueName) -> Arc<OfJobs> {
        let key = (kind.clone(), queue.clone());
        if let Some(found) = ignore_poison(self.of_jobs.read()).get(&key) {
            return Arc::clone(found);
        }
        let mut all = ignore_poison(self.of_jobs.write());
        Arc::clone(all.entry(key).or_insert_with(|| {
            describe();
            Arc::default()
        }))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The type of one of our operations, as the conventions name it.
fn operation_type(operation: &str) -> &'static str {
    match operation {
        "enqueue" => "send",
        "claim" => "receive",
        "settle" => "settle",
        _ => "process",
    }
}

fn system() -> Label {
    Label::from_static_parts("messaging.system", "queue")
}

fn labels(operation: &'static str, kind: &Kind, queue: &QueueName) -> Vec<Label> {
    vec![
        system(),
        Label::from_static_parts("messaging.operation.name", operation),
        Label::from_static_parts("messaging.operation.type", operation_type(operation)),
        Label::new("messaging.destination.name", queue.to_string()),
        Label::new("queue.job.kind", kind.to_string()),
    ]
}

/// Gives the recorder units and descriptions. It may be called again.
fn describe() {
    describe_counter!(SENT, Unit::Count, "Jobs that were inserted");
    describe_histogram!(OPERATION, Unit::Seconds, "How long the storage took to answer");
    #[cfg(feature = "runtime")]
    worker::describe();
}
