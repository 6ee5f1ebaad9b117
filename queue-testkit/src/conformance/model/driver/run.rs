//! Runs one sequence of operations on the backend and on the model.

mod jobs;
mod leases;
mod upkeep;

use std::time::Duration;

use proptest::sample::Index;
use queue_core::{JobId, JobSpec, Token, WorkerId};

use super::super::super::case::CaseResult;
use super::super::super::kit::Kit;
use super::super::super::session::EXPIRY;
use super::super::Model;
use super::super::operation::{JobChoice, Operation, TokenChoice, WorkerChoice};
use super::super::tally::Tally;

/// The state of one sequence.
pub(super) struct Run<'a> {
    kit: &'a Kit,
    model: Model,
    /// Every job that was ever inserted, including pruned ones.
    specs: Vec<JobSpec>,
    /// The token of every lease so far.
    tokens: Vec<Token>,
    /// Every registered worker, including lost ones.
    workers: Vec<WorkerId>,
}

impl<'a> Run<'a> {
    /// Registers two workers, because no job can be claimed without.
    pub(super) async fn begin(kit: &'a Kit) -> anyhow::Result<Self> {
        let mut run =
            Self { kit, model: Model::default(), specs: Vec::new(), tokens: Vec::new(), workers: Vec::new() };
        run.register().await?;
        run.register().await?;
        Ok(run)
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Runs one operation on both sides and compares the replies.
    pub(super) async fn step(&mut self, operation: &Operation, tally: &mut Tally) -> CaseResult {
        match operation {
            Operation::Insert(rows) => self.insert(rows, tally).await,
            Operation::Claim { worker, queue, kinds, limit, last_attempts } => {
                let (worker, limits) = (self.worker(worker), (*limit, *last_attempts));
                self.claim(worker, queue, kinds, limits, tally).await
            }
            Operation::Settle(settlements) => self.settle(settlements, tally).await,
            Operation::Cancel { job, signal } => self.cancel(self.job(job), *signal, tally).await,
            Operation::RetryByHand(job) => self.retry(self.job(job), tally).await,
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

    /// Falls back to a recent worker if there is no such worker.
    fn worker(&self, choice: &WorkerChoice) -> WorkerId {
        let (candidates, index) = match choice {
            WorkerChoice::Recent(index) => (Vec::new(), index),
            WorkerChoice::Registered(index) => (self.model.registered(), index),
            WorkerChoice::Holder(index) => (self.model.holders(), index),
            WorkerChoice::Signalled(index) => (self.model.signalled(), index),
        };
        one_of(&candidates, index).unwrap_or_else(|| self.recent_worker(index))
    }

    /// One of the last four workers. Otherwise a long sequence would mostly choose lost workers.
    fn recent_worker(&self, index: &Index) -> WorkerId {
        let recent = &self.workers[self.workers.len().saturating_sub(4)..];
        recent[index.index(recent.len())]
    }

    /// Falls back to any job if there is no such job.
    fn job(&self, choice: &JobChoice) -> JobId {
        match choice {
            JobChoice::Running(index) => one_of(&self.model.live_tokens(), index)
                .map_or_else(|| self.any_job(index), |token| token.job),
            JobChoice::Finished(index) => {
                one_of(&self.model.finished(), index).unwrap_or_else(|| self.any_job(index))
            }
            JobChoice::Any(index) => self.any_job(index),
        }
    }

    /// A job that was inserted, or an unknown id.
    fn any_job(&self, index: &Index) -> JobId {
        let position = index.index(self.specs.len() + 1);
        self.specs.get(position).map_or_else(|| self.kit.id_at(self.kit.now()), |spec| spec.id)
    }

    fn token(&self, choice: &TokenChoice) -> Option<Token> {
        match choice {
            TokenChoice::Live(index) => one_of(&self.model.live_tokens(), index),
            TokenChoice::Any(index) => one_of(&self.tokens, index),
            TokenChoice::Forged(index) => {
                Some(Token { job: self.any_job(index), claim: self.kit.new_claim_id() })
            }
        }
    }
}

fn one_of<T: Copy>(items: &[T], index: &Index) -> Option<T> {
    (!items.is_empty()).then(|| *index.get(items))
}
