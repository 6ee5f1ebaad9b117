//! One sequence: what there is to choose from, and each operation on both sides.

mod jobs;
mod leases;
mod upkeep;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::sample::Index;
use queue_core::backend::Cursor;
use queue_core::{JobId, JobSpec, QueueName, Token, WorkerId};

use super::super::super::case::CaseResult;
use super::super::super::kit::Kit;
use super::super::super::session::EXPIRY;
use super::super::Model;
use super::super::operation::{Lease, Operation};
use super::super::tally::Tally;

/// The state of one sequence.
pub(super) struct Run<'a> {
    kit: &'a Kit,
    model: Model,
    /// Every job that was ever inserted, also if it is pruned.
    specs: Vec<JobSpec>,
    /// Every token that was ever given.
    tokens: Vec<Token>,
    /// Every worker that was ever registered.
    workers: Vec<WorkerId>,
    /// Where the claims of a worker on a queue have come to.
    cursors: BTreeMap<(WorkerId, QueueName), Cursor>,
}

impl<'a> Run<'a> {
    /// With two workers, since nothing happens without.
    pub(super) async fn begin(kit: &'a Kit) -> anyhow::Result<Self> {
        let mut run = Self {
            kit,
            model: Model::default(),
            specs: Vec::new(),
            tokens: Vec::new(),
            workers: Vec::new(),
            cursors: BTreeMap::new(),
        };
        run.register().await?;
        run.register().await?;
        Ok(run)
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Does one operation on both sides, and compares the answers.
    pub(super) async fn step(&mut self, operation: &Operation, tally: &mut Tally) -> CaseResult {
        match operation {
            Operation::Insert(rows) => self.insert(rows, tally).await,
            Operation::Claim { worker, queue, kinds, limit, last_attempts, from } => {
                let (worker, limits) = (self.worker(worker), (*limit, *last_attempts));
                self.claim(worker, queue, kinds, limits, from, tally).await
            }
            Operation::Settle(settlements) => self.settle(settlements, tally).await,
            Operation::Cancel { job, signal } => self.cancel(self.job(job), *signal, tally).await,
            Operation::Heartbeat { worker, progress } => {
                self.heartbeat(self.worker(worker), progress.as_ref(), tally).await
            }
            Operation::Register => self.register().await,
            Operation::Retire(worker) => self.retire(self.worker(worker), tally).await,
            Operation::Advance { seconds } => {
                self.kit.advance(Duration::from_secs(*seconds));
                Ok(())
            }
            Operation::Rescue => self.rescue(tally).await,
            Operation::Promote { limit } => self.promote(*limit, tally).await,
            Operation::Prune { seconds } => self.prune(Duration::from_secs(*seconds), tally).await,
            Operation::Leases(token) => self.leases(token, tally).await,
            Operation::Pause(queue) => self.pause(queue).await,
            Operation::Resume(queue) => self.resume(queue).await,
        }
    }

    async fn register(&mut self) -> CaseResult {
        let worker = self.kit.worker().await?;
        self.model.register(self.kit.now(), worker, EXPIRY);
        self.workers.push(worker);
        Ok(())
    }

    /// One of the last four, or else a long sequence would ask the dead only.
    fn worker(&self, index: &Index) -> WorkerId {
        let recent = &self.workers[self.workers.len().saturating_sub(4)..];
        recent[index.index(recent.len())]
    }

    /// A job that was inserted, or one that never was.
    fn job(&self, index: &Index) -> JobId {
        let place = index.index(self.specs.len() + 1);
        self.specs.get(place).map_or_else(|| self.kit.id_at(self.kit.now()), |spec| spec.id)
    }

    fn token(&self, lease: &Lease) -> Option<Token> {
        let choose = |tokens: &[Token], index: &Index| (!tokens.is_empty()).then(|| *index.get(tokens));
        match lease {
            Lease::Live(index) => choose(&self.model.live_tokens(), index),
            Lease::Any(index) => choose(&self.tokens, index),
            Lease::Forged(index) => Some(Token { job: self.job(index), claim: self.kit.new_claim_id() }),
        }
    }
}
