//! Runs one sequence of operations on the backend and on the model.

mod jobs;
mod leases;
mod reads;
mod upkeep;
mod wakes;

use std::time::Duration;

use proptest::sample::Index;
use queue_core::backend::{LiveRow, WakeReceiver};
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
    wakes: WakeReceiver,
    /// The rows of unfinished jobs after the last operation that may make one ready.
    live: Vec<LiveRow>,
    /// How long it waits for an announcement.
    patience: Duration,
    /// The running jobs whose cancel was requested by the present operation.
    signalled: Vec<JobId>,
    ever_signalled: Vec<JobId>,
}

impl<'a> Run<'a> {
    /// Registers two workers, because no job can be claimed without.
    pub(super) async fn begin(kit: &'a Kit, patience: Duration) -> anyhow::Result<Self> {
        let wakes = kit.backend()?.subscribe();
        let mut run = Self {
            kit,
            model: Model::default(),
            specs: Vec::new(),
            tokens: Vec::new(),
            workers: Vec::new(),
            wakes,
            live: Vec::new(),
            patience,
            signalled: Vec::new(),
            ever_signalled: Vec::new(),
        };
        run.register().await?;
        run.register().await?;
        Ok(run)
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Runs one operation on both sides, and compares the replies and what is announced.
    pub(super) async fn step(&mut self, operation: &Operation, tally: &mut Tally) -> CaseResult {
        let may_make_ready = self.may_make_ready(operation);
        self.forget_wakes().await;
        self.run(operation, tally).await?;
        if may_make_ready { self.agree_on_ready_jobs().await } else { self.agree_on_wakes(&[]).await }
    }

    /// Whether an operation may make a job ready, or let it wait for another time.
    fn may_make_ready(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Insert { .. }
            | Operation::Settle { .. }
            | Operation::RetryByHand(_)
            | Operation::Rescue => true,
            Operation::Claim(_) | Operation::Promote { .. } => self.model.has_overdue(self.kit.now()),
            _ => false,
        }
    }

    async fn run(&mut self, operation: &Operation, tally: &mut Tally) -> CaseResult {
        match operation {
            Operation::Insert { batches, claim } => self.insert(batches, claim.as_ref(), tally).await,
            Operation::Claim(claiming) => self.claim(claiming, tally).await,
            Operation::Settle { settlements, worker } => self.settle(settlements, worker, tally).await,
            Operation::Cancel { jobs, signal } => self.cancel(&self.jobs(jobs), *signal, tally).await,
            Operation::RetryByHand(jobs) => self.retry(&self.jobs(jobs), tally).await,
            Operation::Heartbeat { worker, progress } => {
                self.heartbeat(self.worker(worker), progress.as_ref(), tally).await
            }
            Operation::Register => self.register().await,
            Operation::RegisterAgain(worker) => self.register_again(self.worker(worker)).await,
            Operation::Reopen => self.reopen().await,
            Operation::List(listing) => self.list(listing).await,
            Operation::ReadyQueues(kinds) => self.ready_queues(kinds).await,
            Operation::Watch(jobs) => self.watch(&self.jobs(jobs)).await,
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

    /// The chosen jobs, each once.
    fn jobs(&self, choices: &[JobChoice]) -> Vec<JobId> {
        let mut jobs: Vec<JobId> = Vec::new();
        for job in choices.iter().map(|choice| self.job(choice)) {
            if !jobs.contains(&job) {
                jobs.push(job);
            }
        }
        jobs
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
