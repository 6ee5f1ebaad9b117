//! A child that enqueues batches.

use std::time::Duration;

use queue_core::backend::InsertRequest;
use queue_core::{Backend, Backoff, JobId, JobSpec, Kind, Payload, QueueName, Timestamp};
use serde::{Deserialize, Serialize};

use super::messages::{END, IDLE};
use super::work::{KIND, RETRIES, parse_time};
use crate::child::Parent;
use crate::conformance::history::event::Micros;

/// The orders of an enqueuing child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The time of the inserts; `None` for the backend's clock.
    pub(crate) now: Option<Micros>,
    /// Part of its ids, so that they differ from those of other children.
    pub(crate) number: u32,
    /// Number of jobs per batch.
    pub(crate) batch: u32,
    /// Number of batches after which it waits for the next time.
    pub(crate) batches: u32,
    /// The payloads, in turn.
    pub(crate) payloads: Vec<String>,
}

/// Creates jobs with unique ids.
#[derive(Debug)]
pub(crate) struct Jobs {
    number: u32,
    made: u32,
}

impl Jobs {
    pub(crate) const fn new(number: u32) -> Self {
        Self { number, made: 0 }
    }

    /// Returns the next job. Its id carries this time. Failed attempts are retried at once.
    pub(crate) fn next(&mut self, time: Timestamp, payload: &str) -> queue_core::Result<JobSpec> {
        let mut id = JobId::least_at(time).to_bytes();
        id[8..12].copy_from_slice(&self.number.to_be_bytes());
        id[12..].copy_from_slice(&self.made.to_be_bytes());
        self.made += 1;
        Ok(JobSpec::new(JobId::from_bytes(id), Kind::new(KIND)?, Payload::json(payload)?)
            .max_retries(RETRIES)
            .priority(0)
            .timeout(Duration::from_secs(60))
            .queue(QueueName::new("default")?)
            .backoff(Backoff::new(Duration::ZERO, Duration::ZERO)))
    }
}

impl Orders {
    /// Returns the next batch.
    pub(crate) fn next_batch(&self, jobs: &mut Jobs, time: Timestamp) -> queue_core::Result<Vec<JobSpec>> {
        let first = jobs.made;
        let payload = |job: u32| self.payloads[job as usize % self.payloads.len().max(1)].as_str();
        (first..first + self.batch).map(|job| jobs.next(time, payload(job))).collect()
    }
}

pub(crate) async fn run(orders: &Orders, backend: &dyn Backend, parent: &Parent) -> anyhow::Result<()> {
    let mut jobs = Jobs::new(orders.number);
    let mut now = orders.now.map(Micros::time);
    loop {
        for _ in 0..orders.batches {
            let batch = orders.next_batch(&mut jobs, now.unwrap_or_else(Timestamp::now))?;
            let mut request = InsertRequest::new(vec![batch]);
            request.now = now;
            // The result is ignored, because the wrapper records it.
            let _ = backend.insert(request).await;
        }
        parent.say(IDLE);
        match parent.hear().await {
            line if line == END => return Ok(()),
            line => now = parse_time(&line).or(now),
        }
    }
}
