//! A child that enqueues and completes jobs in transactions of an application.

use anyhow::Context as _;
use queue_core::backend::{ClaimRequest, RegisterRequest};
use queue_core::{Backend, ClaimId, JobId, Kind, NewJob, QueueName, Token, Unique, WorkerId};
use serde::{Deserialize, Serialize};

use super::messages::{END, IDLE};
use super::work::{KIND, RETRIES};
use crate::child::Parent;
use crate::conformance::history::event::Micros;
use crate::conformance::kit::transactions::{Beginner, Transaction};
use crate::conformance::program::new_job;
use crate::conformance::session::{EXPIRY, GRACE};

/// The point at which a transaction has its jobs and is not committed.
pub(crate) const UNCOMMITTED: &str = "before commit";

/// The point right after the commit.
pub(crate) const COMMITTED: &str = "after commit";

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
    /// Each transaction completes a job, of which there must be enough, with a follow-up, and
    /// enqueues nothing else.
    pub(crate) completes: bool,
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

pub(crate) async fn run(
    orders: &Orders,
    backend: &dyn Backend,
    beginner: &Beginner,
    parent: &Parent,
) -> anyhow::Result<()> {
    for number in 1..=orders.transactions {
        let held = if orders.completes { Some(claim(orders, backend).await?) } else { None };
        let mut transaction = beginner.begin().await?;
        match held {
            Some(token) => transaction.complete(token, "in a transaction", vec![orders.job()?]).await??,
            None => enqueue(orders, number, &mut transaction).await?,
        }
        parent.reach(UNCOMMITTED).await;
        transaction.commit().await?;
        parent.reach(COMMITTED).await;
    }
    parent.say(IDLE);
    while parent.hear().await != END {}
    Ok(())
}

async fn enqueue(orders: &Orders, number: u32, transaction: &mut Transaction) -> anyhow::Result<()> {
    for batch in 1..=BATCHES {
        let mut jobs = Vec::new();
        for place in 1..=BATCH {
            let is_last = (batch, place) == (BATCHES, BATCH);
            let job = orders.job()?;
            jobs.push(if is_last { job.unique(Unique::key(orders.key(number))) } else { job });
        }
        transaction.enqueue(jobs).await??;
    }
    Ok(())
}

/// Claims a job by a worker of its own.
async fn claim(orders: &Orders, backend: &dyn Backend) -> anyhow::Result<Token> {
    let (worker, now) = (WorkerId::generate(), orders.now.time());
    backend.register(RegisterRequest::new(worker, "a child of the kit", EXPIRY).at(now)).await?;
    let (queue, claim) = (QueueName::new("default")?, ClaimId::generate()?);
    let mut request = ClaimRequest::new(worker, claim, queue, [Kind::new(KIND)?], 1).at(now);
    request.grace = GRACE;
    let job = backend.claim(request).await?.jobs.pop().context("there is no job to complete")?;
    Ok(job.token)
}
