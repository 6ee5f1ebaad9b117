//! A child that enqueues batches.

use std::time::Duration;

use queue_core::backend::InsertRequest;
use queue_core::{Backend, Backoff, JobId, JobSpec, Kind, Payload, QueueName, Timestamp};
use serde::{Deserialize, Serialize};

use super::messages::{END, IDLE};
use super::work::{KIND, heard_time};
use crate::child::Parent;
use crate::conformance::history::event::Micros;

/// How it enqueues.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The time of the inserts; none is the backend's own clock.
    pub(crate) now: Option<Micros>,
    /// Makes its ids different from those of others.
    pub(crate) number: u32,
    /// Jobs in a batch.
    pub(crate) batch: u32,
    /// Batches before it waits to be told the time.
    pub(crate) batches: u32,
    /// The payloads, in turn.
    pub(crate) payloads: Vec<String>,
}

/// How often a job may be tried again unless a case says otherwise: killed workers use attempts up.
pub(crate) const RETRIES: u16 = 1000;

/// Makes jobs with ids of their own.
#[derive(Debug)]
pub(crate) struct Jobs {
    number: u32,
    made: u32,
}

impl Jobs {
    pub(crate) const fn new(number: u32) -> Self {
        Self { number, made: 0 }
    }

    /// The next job, whose id is of this time; failures are retried at once.
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
            .backoff(Backoff::new(Duration::ZERO, Duration::ZERO, 0)?))
    }
}

impl Orders {
    /// Its next batch.
    pub(crate) fn next_batch(&self, jobs: &mut Jobs, time: Timestamp) -> queue_core::Result<Vec<JobSpec>> {
        let first = jobs.made;
        let payload = |job: u32| self.payloads[job as usize % self.payloads.len().max(1)].as_str();
        (first..first + self.batch).map(|job| jobs.next(time, payload(job))).collect()
    }
}

pub(crate) async fn play(orders: &Orders, backend: &dyn Backend, parent: &Parent) -> anyhow::Result<()> {
    let mut jobs = Jobs::new(orders.number);
    let mut now = orders.now.map(Micros::time);
    loop {
        for _ in 0..orders.batches {
            let batch = orders.next_batch(&mut jobs, now.unwrap_or_else(Timestamp::now))?;
            let mut request = InsertRequest::new(vec![batch]);
            request.now = now;
            // The answer is recorded, whatever it is.
            let _ = backend.insert(request).await;
        }
        parent.say(IDLE);
        match parent.hear().await {
            line if line == END => return Ok(()),
            line => now = heard_time(&line).or(now),
        }
    }
}
