//! Everything at once: tasks that enqueue, cancel and lose their leases, beside children that are killed and stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelRequest, ClaimRequest, HeartbeatRequest, InsertRequest, ListRequest, RegisterRequest,
    SettleRequest, Settled, Settlement,
};
use queue_core::{Backend, ClaimId, ErrorKind, JobId, Kind, QueueName, State, Timestamp, WorkerId};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::crew::{Crew, Hand};
use super::enqueue::{self, Jobs};
use super::run::{self, LAPSE, Upkeep};
use super::work::result_of;
use crate::conformance::session::complete_with;

/// What the jobs are told to do.
const PAYLOADS: [&str; 12] = [
    "well",
    "slow",
    "fail once",
    "slow",
    "snooze",
    "stubborn",
    "bury",
    "slow",
    "refuse",
    "obedient",
    "well",
    "slow",
];
/// As many jobs may be ready before no more are enqueued.
const BACKLOG: u32 = 100;
/// How long the worker lives that lets its leases lapse.
const SHORT_LIFE: Duration = Duration::from_millis(150);
/// How long it may take until others notice. Never waited for in full unless they do not.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has everything happen at once for a while.
pub(crate) async fn soak(
    crew: &mut Crew<'_>,
    length: Duration,
    mut chance: fastrand::Rng,
) -> anyhow::Result<()> {
    let ends = Instant::now() + length;
    let over = Arc::new(AtomicBool::new(false));
    let ids: Arc<Mutex<Vec<JobId>>> = Arc::default();
    let mut tasks = JoinSet::new();
    for number in 0..2 {
        let backend = crew.kit.backend()?;
        let jobs = Jobs::new(u32::MAX - number);
        tasks.spawn(enqueue_all_along(backend, jobs, Arc::clone(&ids), Arc::clone(&over), chance.fork()));
    }
    let backend = crew.kit.backend()?;
    tasks.spawn(cancel_all_along(backend, Arc::clone(&ids), Arc::clone(&over), chance.fork()));
    let backend = crew.kit.backend()?;
    tasks.spawn(lapse_all_along(backend, Jobs::new(u32::MAX - 9), Arc::clone(&over)));
    let worker = crew.run_here(4)?;
    let outcome = harass(crew, ends, &mut chance).await;
    over.store(true, Ordering::SeqCst);
    while let Some(task) = tasks.join_next().await {
        task.context("a task panicked")??;
    }
    worker.shutdown(run::GRACE).await;
    outcome
}

/// Starts children, kills them, and stops one of them past its expiry, until the time is over.
async fn harass(crew: &mut Crew<'_>, ends: Instant, chance: &mut fastrand::Rng) -> anyhow::Result<()> {
    let orders = run::Orders { slots: 4, upkeep: Upkeep::Often };
    let mut workers = vec![crew.start(orders.clone())?, crew.start(orders.clone())?];
    for turn in 0_u32.. {
        if Instant::now() > ends {
            break;
        }
        sleep(Duration::from_millis(chance.u64(50..350))).await;
        let place = chance.usize(..workers.len());
        if turn % 8 == 3 {
            let mut stopped = workers.remove(place);
            stopped.stop().await?;
            sleep(run::EXPIRY.mul_f64(1.5)).await;
            stopped.child.resume()?;
            workers.push(stopped);
        } else if turn % 2 == 0 {
            let victim = workers.remove(place);
            crew.kill(victim).await?;
            workers.push(crew.start(orders.clone())?);
        } else {
            let sender = enqueuer(crew, chance).await?;
            crew.kill(sender).await?;
        }
    }
    for worker in workers {
        crew.kill(worker).await?;
    }
    Ok(())
}

/// A child that halts with an insert under way.
async fn enqueuer(crew: &mut Crew<'_>, chance: &mut fastrand::Rng) -> anyhow::Result<Hand> {
    let mut orders = crew.enqueuer(chance.u32(1..30), 100);
    orders.now = None;
    orders.payloads = PAYLOADS.map(|payload| format!("\"{payload}\"")).to_vec();
    crew.start_halting(orders, "insert sent", chance.u32(1..6)).await
}

/// Whether an operation may be left out this time: the storage is held up by a process that stands still.
fn endured<T>(answer: queue_core::Result<T>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(reply) => Ok(Some(reply)),
        Err(error) if error.is_retryable() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn enqueue_all_along(
    backend: Arc<dyn Backend>,
    mut jobs: Jobs,
    ids: Arc<Mutex<Vec<JobId>>>,
    over: Arc<AtomicBool>,
    mut chance: fastrand::Rng,
) -> anyhow::Result<()> {
    let orders = |batch| enqueue::Orders {
        now: None,
        number: 0,
        batch,
        batches: 1,
        payloads: PAYLOADS.map(|payload| format!("\"{payload}\"")).to_vec(),
    };
    while !over.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(chance.u64(2..20))).await;
        let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
        let ready = endured(inspect.list(ListRequest::new(BACKLOG).state(State::Ready)).await)?;
        if ready.is_none_or(|ready| ready.len() >= BACKLOG as usize) {
            continue;
        }
        let batch = orders(chance.u32(1..16)).next_batch(&mut jobs, Timestamp::now())?;
        let new: Vec<JobId> = batch.iter().map(|job| job.id).collect();
        if endured(backend.insert(InsertRequest::new(vec![batch])).await)?.is_some() {
            ids.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
        }
    }
    Ok(())
}

/// Cancels one of the youngest jobs, or any.
async fn cancel_all_along(
    backend: Arc<dyn Backend>,
    ids: Arc<Mutex<Vec<JobId>>>,
    over: Arc<AtomicBool>,
    mut chance: fastrand::Rng,
) -> anyhow::Result<()> {
    while !over.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(chance.u64(5..25))).await;
        let chosen = {
            let ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
            let youngest = ids.len().saturating_sub(if chance.bool() { 30 } else { ids.len() });
            chance.choice(&ids[youngest..]).copied()
        };
        if let Some(id) = chosen {
            endured(backend.cancel(CancelRequest::new(vec![id]).signal_running()).await)?;
        }
    }
    Ok(())
}

/// Claims a job, says nothing more until others have given its worker up, and then settles it.
async fn lapse_all_along(
    backend: Arc<dyn Backend>,
    mut jobs: Jobs,
    over: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    while !over.load(Ordering::SeqCst) {
        let mut job = jobs.next(Timestamp::now(), "\"lapse\"")?;
        job.kind = Kind::new(LAPSE)?;
        if endured(backend.insert(InsertRequest::new(vec![vec![job]])).await)?.is_none() {
            continue;
        }
        let worker = WorkerId::generate();
        let request = RegisterRequest::new(worker, "a task that loses its leases", SHORT_LIFE);
        if endured(backend.register(request).await)?.is_none() {
            continue;
        }
        let claim = ClaimRequest::new(
            worker,
            ClaimId::generate()?,
            QueueName::new("default")?,
            [Kind::new(LAPSE)?],
            1,
        );
        let reply = match backend.claim(claim).await {
            // It took longer than the worker lives.
            Err(error) if error.kind() == ErrorKind::WorkerLost => continue,
            reply => endured(reply)?,
        };
        let Some(job) = reply.and_then(|mut reply| reply.jobs.pop()) else { continue };
        until_given_up(&*backend, worker, &job).await?;
    }
    Ok(())
}

async fn until_given_up(
    backend: &dyn Backend,
    worker: WorkerId,
    job: &queue_core::backend::ClaimedJob,
) -> anyhow::Result<()> {
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    let lapsed = async {
        loop {
            let record = inspect.jobs(&[job.token.job]).await?.pop().flatten().context("a job is gone")?;
            if (record.state, record.attempt) != (State::Running, job.attempt) {
                return anyhow::Ok(());
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, lapsed).await.context("nobody took the job of a dead worker back")??;
    let settlement = Settlement::new(job.token, complete_with(&result_of(job)));
    let answers = endured(backend.settle(SettleRequest::new(worker, vec![settlement])).await)?;
    if let Some(answer) = answers.and_then(|mut answers| answers.pop()).map(endured).transpose()?.flatten() {
        ensure!(answer == Settled::LeaseLost, "a settle after the loss of the lease was answered {answer:?}");
    }
    match backend.heartbeat(HeartbeatRequest::new(worker)).await {
        Ok(reply) => anyhow::bail!("a worker that was given up lives: {reply:?}"),
        Err(error) if error.kind() == ErrorKind::WorkerLost => Ok(()),
        Err(error) => endured(Err(error)).map(|_: Option<()>| ()),
    }
}
