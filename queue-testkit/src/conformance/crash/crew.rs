//! The children of a case.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{InsertRequest, JobRecord, Stored};
use queue_core::{JobId, JobSpec, RunningWorker, State, Timestamp, WorkerId};
use tokio::time::sleep;

use super::actor::{Order, ROLE, Role};
use super::enqueue::{self, Jobs};
use super::kills::{Found, Kills};
use super::messages::{OPENED, OPENING};
use super::run;
use super::work::{self, KIND, Verdicts};
use crate::child::{Child, Line, Orders};
use crate::conformance::history::log::Log;
use crate::conformance::history::{Rows, Sink};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete_with};
use crate::conformance::storage::Storage;

/// How often the storage is asked whether jobs have ended.
const LOOK: Duration = Duration::from_millis(5);
/// How long that may take. Never waited for in full unless they do not.
const PATIENCE: Duration = Duration::from_secs(120);

/// The children of a case, on its storage.
pub(crate) struct Crew<'a> {
    pub(crate) kit: &'a Kit,
    pub(crate) kills: Kills,
    address: String,
    started: u32,
}

/// A child, until it is killed or has ended.
pub(crate) struct Hand {
    pub(crate) child: Child,
    pub(crate) name: String,
    /// Whether its opening of the storage is a write.
    migrates: bool,
}

impl<'a> Crew<'a> {
    pub(crate) fn new(kit: &'a Kit) -> anyhow::Result<Self> {
        let address = kit.address().context("the storage has no address")?;
        Ok(Self { kit, kills: Kills::default(), address, started: 0 })
    }

    /// Starts a child that plays this role to its end.
    pub(crate) fn start(&mut self, role: impl Into<Role>) -> anyhow::Result<Hand> {
        let address = self.address.clone();
        self.start_with(address, role.into(), None)
    }

    /// Starts a child on another storage than the case's.
    pub(crate) fn start_at(&mut self, storage: &dyn Storage, role: Role) -> anyhow::Result<Hand> {
        self.start_with(storage.address().context("the storage has no address")?, role, None)
    }

    /// Starts a child, and waits until it halts where it reaches a point for the `nth` time.
    pub(crate) async fn start_halting(
        &mut self,
        role: impl Into<Role>,
        point: &str,
        nth: u32,
    ) -> anyhow::Result<Hand> {
        let mut hand = self.start_with(self.address.clone(), role.into(), Some((point, nth)))?;
        hand.child.halted(point).await?;
        Ok(hand)
    }

    fn start_with(&mut self, address: String, role: Role, halt: Option<(&str, u32)>) -> anyhow::Result<Hand> {
        let what = match &role {
            Role::Migrate => "migrate",
            Role::Enqueue(_) => "enqueue",
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
        let child = orders.start().context("a child cannot be started")?;
        self.kit.note(&format!("({name} is started)"), Some(child.record()));
        Ok(Hand { child, name, migrates })
    }

    /// A child that enqueues batches of this many jobs at the time of the case.
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

    /// A child that works by hand at the time of the case.
    pub(crate) fn worker(&self, limit: u32, verdicts: Verdicts) -> work::Orders {
        work::Orders { now: self.kit.now().into(), limit, verdicts }
    }

    /// Kills a child where it is, and gives its lines.
    pub(crate) async fn kill(&mut self, hand: Hand) -> anyhow::Result<Vec<Line>> {
        let record = hand.child.kill().await.context("a child cannot be killed")?;
        self.kit.note(&format!("({} is killed)", hand.name), None);
        let lines = record.lines();
        self.kit.history().add(&hand.name, &lines);
        let (log, has_said) = (Log::of(&lines), |text: &str| lines.iter().any(|line| line.text == text));
        let is_migrating = hand.migrates && has_said(OPENING) && !has_said(OPENED);
        self.kills.add(if !log.open_leases().is_empty() {
            Found::Lease
        } else if log.has_open_write() || is_migrating {
            Found::Write
        } else {
            Found::Nothing
        });
        Ok(lines)
    }

    /// Has a child end in good order.
    pub(crate) async fn dismiss(&mut self, mut hand: Hand) -> anyhow::Result<()> {
        hand.child.tell(super::messages::END)?;
        let (status, record) = hand.child.ended().await?;
        ensure!(status.success(), "{} ended with {status}:\n{record}", hand.name);
        self.kit.history().add(&hand.name, &record.lines());
        Ok(())
    }

    /// The sink for the handlers of a worker in this process.
    fn handlers(&self) -> Arc<dyn Sink> {
        self.kit.history().process("handlers of this process")
    }

    /// A worker of the runtime in this process.
    pub(crate) fn run_here(&mut self, slots: usize) -> anyhow::Result<RunningWorker> {
        let orders = run::Orders { slots, upkeep: run::Upkeep::Often };
        run::start(&orders, self.kit.backend()?, &self.handlers())
    }

    /// Enqueues one batch from this process, by the backend's clock.
    pub(crate) async fn enqueue(&mut self, payloads: &[&str]) -> anyhow::Result<Vec<JobId>> {
        self.enqueue_with(payloads, |job| job).await
    }

    /// The same, with jobs that are changed before.
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
        for fate in self.kit.backend()?.insert(InsertRequest::new(vec![batch])).await?.batches {
            fate?;
        }
        Ok(ids)
    }

    /// Has a fresh worker of the kit end every job, at the time of the case.
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
        anyhow::bail!("the drain does not end: {left} jobs are left")
    }

    /// Starts a worker of the runtime that handles nothing there is, and looks after the jobs of dead ones.
    pub(crate) fn run_with_nothing_to_do(&mut self) -> anyhow::Result<RunningWorker> {
        run::start_keeper(self.kit.backend()?)
    }

    /// Waits until all of these jobs have ended.
    pub(crate) async fn ended(&self, jobs: &[JobId]) -> anyhow::Result<()> {
        let are_finished = |records: &[JobRecord]| records.iter().all(|record| record.state.is_finished());
        self.look(jobs, "ended", are_finished).await
    }

    /// Waits until nobody holds a lease of this job any more.
    pub(crate) async fn until_not_running(&self, job: JobId) -> anyhow::Result<()> {
        let is_free = |records: &[JobRecord]| records.iter().all(|record| record.state != State::Running);
        self.look(&[job], "been taken back", is_free).await
    }

    async fn look(
        &self,
        jobs: &[JobId],
        what: &str,
        is_so: impl Fn(&[JobRecord]) -> bool,
    ) -> anyhow::Result<()> {
        let backend = self.kit.backend()?;
        let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
        let look = async {
            loop {
                let records: Vec<JobRecord> = inspect.jobs(jobs).await?.into_iter().flatten().collect();
                if records.len() == jobs.len() && is_so(&records) {
                    return anyhow::Ok(());
                }
                sleep(LOOK).await;
            }
        };
        let looked = tokio::time::timeout(PATIENCE, look).await;
        looked.with_context(|| format!("the jobs {jobs:?} have not {what} after {PATIENCE:?}"))?
    }

    /// Has a fresh worker of the runtime end every job, at the backend's own time.
    pub(crate) async fn run_dry(&mut self) -> anyhow::Result<()> {
        let orders = run::Orders { slots: 8, upkeep: run::Upkeep::Often };
        let backend = self.kit.backend()?;
        let kinds = [KIND, run::LAPSE];
        let worker = run::start_for(&kinds, &orders, Arc::clone(&backend), &self.handlers())?;
        let audit = backend.extensions().audit.context("the backend offers no `audit`")?;
        let dry = async {
            while !audit.stored().await?.live.is_empty() {
                sleep(LOOK).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, dry)
            .await
            .with_context(|| format!("jobs are left after {PATIENCE:?}"))??;
        worker.shutdown(run::GRACE).await;
        Ok(())
    }

    /// Checks the history of all processes against the rows, once everything has been drained.
    pub(crate) async fn check(&self) -> anyhow::Result<Stored> {
        let history = self.kit.history();
        let asked = history.moment();
        let stored = self.kit.stored().await?;
        history.check_drained(&Rows { asked, answered: history.moment(), stored: &stored })?;
        Ok(stored)
    }
}

impl Hand {
    /// The worker that the child has registered last.
    pub(crate) fn worker(&self) -> anyhow::Result<WorkerId> {
        let log = Log::of(&self.child.record().lines());
        log.last_worker().context("the child has registered no worker")
    }

    /// Stops the child where it is.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        Ok(self.child.stop().await?)
    }
}
