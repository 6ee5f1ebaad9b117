//! The soak: tasks that enqueue, cancel and lose leases, beside child processes that are killed and
//! stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelRequest, ClaimRequest, HeartbeatRequest, InsertRequest, ListRequest, RegisterRequest,
    SettleRequest, Settled, Settlement,
};
use queue_core::{Backend, ClaimId, ErrorKind, JobId, JobState, Kind, QueueName, Timestamp, WorkerId};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::crew::{ChildProcess, Crew};
use super::enqueue::{self, Jobs};
use super::run::{self, LAPSE, Upkeep};
use super::work::result_of;
use crate::conformance::session::complete_with;
use crate::conformance::wait::until_none_is_left;

/// The payloads, which [`run`] acts on.
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
/// Number of ready jobs at which enqueuing pauses.
const BACKLOG: u32 = 100;
/// Expiry of the worker that lets its leases lapse.
const SHORT_EXPIRY: Duration = Duration::from_millis(150);
/// Runs the soak for this time.
pub(crate) async fn soak(
    crew: &mut Crew<'_>,
    length: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<()> {
    let end = Instant::now() + length;
    let over = Arc::new(AtomicBool::new(false));
    let ids: Arc<Mutex<Vec<JobId>>> = Arc::default();
    let mut tasks = JoinSet::new();
    for number in 0..2 {
        let backend = crew.kit.backend()?;
        let jobs = Jobs::new(u32::MAX - number);
        tasks.spawn(enqueue_continuously(backend, jobs, Arc::clone(&ids), Arc::clone(&over), rng.fork()));
    }
    let backend = crew.kit.backend()?;
    tasks.spawn(cancel_continuously(backend, Arc::clone(&ids), Arc::clone(&over), rng.fork()));
    let backend = crew.kit.backend()?;
    tasks.spawn(lapse_continuously(backend, Jobs::new(u32::MAX - 9), Arc::clone(&over)));
    let worker = crew.run_here(4)?;
    let outcome = kill_and_stop(crew, end, &mut rng).await;
    over.store(true, Ordering::SeqCst);
    while let Some(task) = tasks.join_next().await {
        task.context("a task panicked")??;
    }
    worker.shutdown(run::GRACE).await;
    outcome
}

/// Starts and kills child processes, and stops some of them past their expiry, until the time is
/// over.
async fn kill_and_stop(crew: &mut Crew<'_>, end: Instant, rng: &mut fastrand::Rng) -> anyhow::Result<()> {
    let orders = run::Orders { slots: 4, upkeep: Upkeep::Often };
    let mut workers = vec![crew.start(orders.clone())?, crew.start(orders.clone())?];
    for turn in 0_u32.. {
        if Instant::now() > end {
            break;
        }
        sleep(Duration::from_millis(rng.u64(50..350))).await;
        let index = rng.usize(..workers.len());
        if turn % 8 == 3 {
            let mut stopped = workers.remove(index);
            stopped.stop().await?;
            sleep(run::EXPIRY.mul_f64(1.5)).await;
            stopped.child.resume()?;
            workers.push(stopped);
        } else if turn % 2 == 0 {
            let victim = workers.remove(index);
            crew.kill(victim).await?;
            workers.push(crew.start(orders.clone())?);
        } else {
            let sender = enqueuer(crew, rng).await?;
            crew.kill(sender).await?;
        }
    }
    for worker in workers {
        crew.kill(worker).await?;
    }
    Ok(())
}

/// Starts a child that halts during an insert.
async fn enqueuer(crew: &mut Crew<'_>, rng: &mut fastrand::Rng) -> anyhow::Result<ChildProcess> {
    let mut orders = crew.enqueuer(rng.u32(1..30), 100);
    orders.now = None;
    orders.payloads = PAYLOADS.map(|payload| format!("\"{payload}\"")).to_vec();
    crew.start_halting(orders, "insert sent", rng.u32(1..6)).await
}

/// Returns `None` for a retryable error, because a stopped process may hold a lock of the storage.
fn skip_retryable<T>(answer: queue_core::Result<T>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(reply) => Ok(Some(reply)),
        Err(error) if error.is_retryable() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn enqueue_continuously(
    backend: Arc<dyn Backend>,
    mut jobs: Jobs,
    ids: Arc<Mutex<Vec<JobId>>>,
    over: Arc<AtomicBool>,
    mut rng: fastrand::Rng,
) -> anyhow::Result<()> {
    let orders = |batch| enqueue::Orders {
        now: None,
        number: 0,
        batch,
        batches: 1,
        payloads: PAYLOADS.map(|payload| format!("\"{payload}\"")).to_vec(),
    };
    while !over.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(rng.u64(2..20))).await;
        let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
        let ready = skip_retryable(inspect.list(ListRequest::new(BACKLOG).state(JobState::Ready)).await)?;
        if ready.is_none_or(|ready| ready.len() >= BACKLOG as usize) {
            continue;
        }
        let batch = orders(rng.u32(1..16)).next_batch(&mut jobs, Timestamp::now())?;
        let new: Vec<JobId> = batch.iter().map(|job| job.id).collect();
        if skip_retryable(backend.insert(InsertRequest::new(vec![batch])).await)?.is_some() {
            ids.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
        }
    }
    Ok(())
}

/// Cancels a recent job or any job, again and again.
async fn cancel_continuously(
    backend: Arc<dyn Backend>,
    ids: Arc<Mutex<Vec<JobId>>>,
    over: Arc<AtomicBool>,
    mut rng: fastrand::Rng,
) -> anyhow::Result<()> {
    while !over.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(rng.u64(5..25))).await;
        let chosen = {
            let ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
            let youngest = ids.len().saturating_sub(if rng.bool() { 30 } else { ids.len() });
            rng.choice(&ids[youngest..]).copied()
        };
        if let Some(id) = chosen {
            skip_retryable(backend.cancel(CancelRequest::new(vec![id]).signal_running()).await)?;
        }
    }
    Ok(())
}

/// Claims a job, sends no heartbeat until its worker is lost, and then settles the job.
async fn lapse_continuously(
    backend: Arc<dyn Backend>,
    mut jobs: Jobs,
    over: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    while !over.load(Ordering::SeqCst) {
        let mut job = jobs.next(Timestamp::now(), "\"lapse\"")?;
        job.kind = Kind::new(LAPSE)?;
        if skip_retryable(backend.insert(InsertRequest::new(vec![vec![job]])).await)?.is_none() {
            continue;
        }
        let worker = WorkerId::generate();
        let request = RegisterRequest::new(worker, "a task that loses its leases", SHORT_EXPIRY);
        if skip_retryable(backend.register(request).await)?.is_none() {
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
            // The request took longer than the expiry of the worker.
            Err(error) if error.kind() == ErrorKind::WorkerLost => continue,
            reply => skip_retryable(reply)?,
        };
        let Some(job) = reply.and_then(|mut reply| reply.jobs.pop()) else { continue };
        settle_after_loss(&*backend, worker, &job).await?;
    }
    Ok(())
}

async fn settle_after_loss(
    backend: &dyn Backend,
    worker: WorkerId,
    job: &queue_core::backend::ClaimedJob,
) -> anyhow::Result<()> {
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    until_none_is_left("a lease of a lost worker to be rescued", || async {
        let record = inspect.jobs(&[job.token.job]).await?.pop().flatten();
        let record = record.context("an acknowledged job does not exist")?;
        let is_held = (record.state, record.attempt) == (JobState::Running, job.attempt);
        Ok(is_held.then(|| format!("{:?} still runs with attempt {}", job.token, job.attempt)))
    })
    .await?;
    let settlement = Settlement::new(job.token, complete_with(&result_of(job)));
    let answers = skip_retryable(backend.settle(SettleRequest::new(worker, vec![settlement])).await)?;
    if let Some(answer) =
        answers.and_then(|mut answers| answers.pop()).map(skip_retryable).transpose()?.flatten()
    {
        ensure!(
            answer == Settled::LeaseLost,
            "a settle of a lost lease must return `LeaseLost`, but returned {answer:?}"
        );
    }
    match backend.heartbeat(HeartbeatRequest::new(worker)).await {
        Ok(reply) => anyhow::bail!("a heartbeat of a lost worker succeeded: {reply:?}"),
        Err(error) if error.kind() == ErrorKind::WorkerLost => Ok(()),
        Err(error) => skip_retryable(Err(error)).map(|_: Option<()>| ()),
    }
}
