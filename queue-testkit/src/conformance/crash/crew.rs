//! Starts, kills and ends the child processes of a case.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{InsertRequest, JobRecord, Stored};
use queue_core::{JobId, JobSpec, JobState, RunningWorker, Timestamp, WorkerId};
use tokio::time::sleep;

use super::actor::{Order, ROLE, Role};
use super::enqueue::{self, Jobs};
use super::kills::{KilledWhile, Kills};
use super::messages::{OPENED, OPENING};
use super::run;
use super::transact;
use super::work::{self, KIND, Verdicts};
use crate::child::{Child, Line, Orders};
use crate::conformance::history::log::Log;
use crate::conformance::history::{Rows, Sink};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete_with};
use crate::conformance::storage::Storage;
use crate::conformance::wait::until_none_is_left;

/// The crew of a case: the child processes that use its storage.
pub(crate) struct Crew<'a> {
    pub(crate) kit: &'a Kit,
    pub(crate) kills: Kills,
    address: String,
    started: u32,
}

/// A running child process.
pub(crate) struct ChildProcess {
    pub(crate) child: Child,
    pub(crate) name: String,
    /// Whether the child writes while it opens the storage.
    migrates: bool,
}

impl<'a> Crew<'a> {
    pub(crate) fn new(kit: &'a Kit) -> anyhow::Result<Self> {
        let address = kit.address().context("`Storage::address` returned none")?;
        Ok(Self { kit, kills: Kills::default(), address, started: 0 })
    }

    /// Starts a child with this role.
    pub(crate) fn start(&mut self, role: impl Into<Role>) -> anyhow::Result<ChildProcess> {
        let address = self.address.clone();
        self.start_with(address, role.into(), None)
    }

    /// Starts a child on another storage than that of the case.
    pub(crate) fn start_at(&mut self, storage: &dyn Storage, role: Role) -> anyhow::Result<ChildProcess> {
        self.start_with(storage.address().context("`Storage::address` returned none")?, role, None)
    }

    /// Starts a child and waits until it halts, where it reaches a point for the `nth` time.
    pub(crate) async fn start_halting(
        &mut self,
        role: impl Into<Role>,
        point: &str,
        nth: u32,
    ) -> anyhow::Result<ChildProcess> {
        let mut process = self.start_with(self.address.clone(), role.into(), Some((point, nth)))?;
        process.child.halted(point).await?;
        Ok(process)
    }

    fn start_with(
        &mut self,
        address: String,
        role: Role,
        halt: Option<(&str, u32)>,
    ) -> anyhow::Result<ChildProcess> {
        let what = match &role {
            Role::Migrate => "migrate",
            Role::Enqueue(_) => "enqueue",
            Role::Transact(_) => "transact",
            Role::Fire(_) => "fire",
            Role::Work(_) => "work",
            Role::Run(_) => "run",
        };
        let migrates = matches!(role, Role::Migrate);
        let order = Order { address, role };
        self.started += 1;
        let name = format!("child {} ({what})", self.started);
        let mut orders = Orders::new(ROLE).name(&name).text(serde_json::to_string(&order)?);
        if let Some((point, nth)) = halt {
            orders = orders.halt_at(point, nth);
        }
        let child = orders.start().context("a child process could not be started")?;
        self.kit.note(&format!("({name} is started)"), Some(child.record()));
        Ok(ChildProcess { child, name, migrates })
    }

    /// Orders of a child that enqueues batches of this many jobs, at the time of the case's clock.
    pub(crate) fn enqueuer(&self, batch: u32, batches: u32) -> enqueue::Orders {
        let payloads = vec!["{}".to_owned()];
        enqueue::Orders {
            now: Some(self.kit.now().into()),
            number: self.started + 1,
            batch,
            batches,
            payloads,
        }
    }

    /// Orders of a child that enqueues in this many transactions, at the time of the case's clock.
    pub(crate) fn transactor(&self, transactions: u32) -> transact::Orders {
        let (now, number) = (self.kit.now().into(), self.started + 1);
        transact::Orders { now, transactions, completes: false, number }
    }

    /// Orders of a child that completes this many jobs, each in a transaction.
    pub(crate) fn completer(&self, transactions: u32) -> transact::Orders {
        transact::Orders { completes: true, ..self.transactor(transactions) }
    }

    /// Orders of a child that claims and settles without the runtime, at the time of the case's
    /// clock.
    pub(crate) fn worker(&self, limit: u32, verdicts: Verdicts) -> work::Orders {
        work::Orders { now: self.kit.now().into(), limit, verdicts }
    }

    /// If a child halts where it has sent a request, gives the storage time to execute it: until a
    /// row changes, or briefly. The child sends no further request meanwhile.
    pub(crate) async fn let_execute(&self, point: &str) -> anyhow::Result<()> {
        let before = self.kit.stored().await?.live;
        let looks = if point.ends_with(" sent") { 150 } else { 0 };
        for _ in 0..looks {
            sleep(Duration::from_millis(2)).await;
            if self.kit.stored().await?.live != before {
                break;
            }
        }
        Ok(())
    }

    /// Kills a child and returns its lines.
    pub(crate) async fn kill(&mut self, process: ChildProcess) -> anyhow::Result<Vec<Line>> {
        let record = process.child.kill().await.context("a child process could not be killed")?;
        self.kit.note(&format!("({} is killed)", process.name), None);
        let lines = record.lines();
        self.kit.history().add(&process.name, &lines);
        let (log, has_said) = (Log::of(&lines), |text: &str| lines.iter().any(|line| line.text == text));
        let is_migrating = process.migrates && has_said(OPENING) && !has_said(OPENED);
        self.kills.add(if !log.open_leases().is_empty() {
            KilledWhile::HoldingLease
        } else if log.has_open_write() || is_migrating {
            KilledWhile::Writing
        } else {
            KilledWhile::Idle
        });
        Ok(lines)
    }

    /// Lets a child end in an orderly way.
    pub(crate) async fn dismiss(&mut self, mut process: ChildProcess) -> anyhow::Result<()> {
        process.child.tell(super::messages::END)?;
        let (status, record) = process.child.ended().await?;
        ensure!(status.success(), "{} ended with {status}:\n{record}", process.name);
        self.kit.history().add(&process.name, &record.lines());
        Ok(())
    }

    /// The sink for the handlers of a worker in this process.
    fn handlers(&self) -> Arc<dyn Sink> {
        self.kit.history().process("handlers of this process")
    }

    /// Starts a worker of the runtime in this process.
    pub(crate) fn run_here(&mut self, slots: usize) -> anyhow::Result<RunningWorker> {
        let orders = run::Orders { slots, upkeep: run::Upkeep::Often };
        run::start(&orders, self.kit.backend()?, &self.handlers())
    }

    /// Enqueues one batch from this process, by the backend's clock.
    pub(crate) async fn enqueue(&mut self, payloads: &[&str]) -> anyhow::Result<Vec<JobId>> {
        self.enqueue_with(payloads, |job| job).await
    }

    /// Enqueues one batch of jobs that `change` has modified.
    pub(crate) async fn enqueue_with(
        &mut self,
        payloads: &[&str],
        change: impl Fn(JobSpec) -> JobSpec,
    ) -> anyhow::Result<Vec<JobId>> {
        self.started += 1;
        let mut jobs = Jobs::new(self.started);
        let mut batch = Vec::new();
        for payload in payloads {
            batch.push(change(jobs.next(Timestamp::now(), &format!("\"{payload}\""))?));
        }
        let ids = batch.iter().map(|job| job.id).collect();
        for result in self.kit.backend()?.insert(InsertRequest::new(vec![batch])).await?.batches {
            result?;
        }
        Ok(ids)
    }

    /// Completes every job with new workers of the kit, at the time of the case's clock.
    pub(crate) async fn drain(&mut self) -> anyhow::Result<()> {
        let session = self.kit;
        for _ in 0..1000 {
            if session.stored().await?.live.is_empty() {
                return Ok(());
            }
            session.advance(EXPIRY);
            while session.rescue(1000).await?.rescued > 0 {}
            let worker = session.worker().await?;
            loop {
                let jobs = session.claiming(worker, 100).kinds(&[KIND]).take().await?.jobs;
                if jobs.is_empty() {
                    break;
                }
                let end = |job| (queue_core::backend::ClaimedJob::clone(job).token, work::result_of(job));
                let ends = jobs.iter().map(end).map(|(token, result)| (token, complete_with(&result)));
                session.settle(ends.collect()).await?;
            }
        }
        let left = session.stored().await?.live.len();
        anyhow::bail!("the drain did not end: {left} jobs are left")
    }

    /// Starts a worker of the runtime that handles no existing kind, but rescues jobs of lost
    /// workers.
    pub(crate) fn run_with_nothing_to_do(&mut self) -> anyhow::Result<RunningWorker> {
        run::start_keeper(self.kit.backend()?)
    }

    /// Waits until all these jobs are finished.
    pub(crate) async fn ended(&self, jobs: &[JobId]) -> anyhow::Result<()> {
        let are_finished = |records: &[JobRecord]| records.iter().all(|record| record.state.is_finished());
        self.wait_for(jobs, "finished", are_finished).await
    }

    /// Waits until no worker holds a lease of this job.
    pub(crate) async fn until_not_running(&self, job: JobId) -> anyhow::Result<()> {
        let is_free = |records: &[JobRecord]| records.iter().all(|record| record.state != JobState::Running);
        self.wait_for(&[job], "without a lease", is_free).await
    }

    async fn wait_for(
        &self,
        jobs: &[JobId],
        what: &str,
        is_so: impl Fn(&[JobRecord]) -> bool,
    ) -> anyhow::Result<()> {
        let backend = self.kit.backend()?;
        let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
        until_none_is_left(&format!("jobs to be {what}"), || async {
            let records: Vec<JobRecord> = inspect.jobs(jobs).await?.into_iter().flatten().collect();
            if records.len() == jobs.len() && is_so(&records) {
                return Ok(None);
            }
            let seen = |record: &JobRecord| (record.job.id, record.state, record.attempt);
            let seen: Vec<_> = records.iter().map(seen).collect();
            Ok(Some(format!("of the jobs {jobs:?} these exist: {seen:?}")))
        })
        .await
    }

    /// Runs every job with a new worker of the runtime, by the backend's clock.
    pub(crate) async fn run_dry(&mut self) -> anyhow::Result<()> {
        let orders = run::Orders { slots: 8, upkeep: run::Upkeep::Often };
        let backend = self.kit.backend()?;
        let kinds = [KIND, run::LAPSE];
        let worker = run::start_for(&kinds, &orders, Arc::clone(&backend), &self.handlers())?;
        let audit = backend.extensions().audit.context("the backend offers no `audit`")?;
        until_none_is_left("all jobs to end", || async {
            let left = audit.stored().await?.live;
            Ok((!left.is_empty()).then(|| format!("{} are unfinished: {left:?}", left.len())))
        })
        .await?;
        worker.shutdown(run::GRACE).await;
        Ok(())
    }

    /// Checks the history of all processes against the rows. Call it after a drain.
    pub(crate) async fn check(&self) -> anyhow::Result<Stored> {
        let history = self.kit.history();
        let asked = history.moment();
        let stored = self.kit.stored().await?;
        history.check_drained(&Rows { asked, answered: history.moment(), stored: &stored })?;
        Ok(stored)
    }
}

impl ChildProcess {
    /// The last worker that the child has registered.
    pub(crate) fn worker(&self) -> anyhow::Result<WorkerId> {
        let log = Log::of(&self.child.record().lines());
        log.last_worker().context("the child has registered no worker")
    }

    /// Stops the child with SIGSTOP.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        Ok(self.child.stop().await?)
    }
}
