//! A child that enqueues in transactions of an application.

use queue_core::{JobId, NewJob, Unique};
use serde::{Deserialize, Serialize};

use super::enqueue::RETRIES;
use super::messages::{END, IDLE};
use super::work::KIND;
use crate::child::Parent;
use crate::conformance::history::event::Micros;
use crate::conformance::kit::transactions::Beginner;
use crate::conformance::program::new_job;

/// The point at which a transaction has its jobs and is not committed.
pub(crate) const UNCOMMITTED: &str = "before commit";

/// The number of batches of each transaction, and of jobs of each batch.
const BATCHES: usize = 2;
const BATCH: usize = 3;
/// The number of jobs of each transaction.
pub(crate) const JOBS: usize = BATCHES * BATCH;

/// The orders of a child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The time at which the jobs become ready.
    pub(crate) now: Micros,
    /// The number of transactions.
    pub(crate) transactions: u32,
    /// Part of the unique keys, so that they differ from those of other children.
    pub(crate) number: u32,
}

impl Orders {
    /// The unique key of the last job of a transaction, which are counted from 1.
    pub(crate) fn key(&self, transaction: u32) -> String {
        format!("child {}, transaction {transaction}", self.number)
    }

    fn job(&self) -> queue_core::Result<NewJob> {
        let job = new_job(KIND, "{}")?.id(JobId::generate()).max_retries(RETRIES);
        Ok(job.run_at(self.now.time()))
    }
}

pub(crate) async fn run(orders: &Orders, beginner: &Beginner, parent: &Parent) -> anyhow::Result<()> {
    for number in 1..=orders.transactions {
        let mut transaction = beginner.begin().await?;
        for batch in 1..=BATCHES {
            let mut jobs = Vec::new();
            for place in 1..=BATCH {
                let is_last = (batch, place) == (BATCHES, BATCH);
                let job = orders.job()?;
                jobs.push(if is_last { job.unique(Unique::key(orders.key(number))) } else { job });
            }
            transaction.enqueue(jobs).await??;
        }
        parent.reach(UNCOMMITTED).await;
        transaction.commit().await?;
    }
    parent.say(IDLE);
    while parent.hear().await != END {}
    Ok(())
}
