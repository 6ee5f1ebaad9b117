//! Q1, Q2: through any fault, workers go on by themselves afterwards, and lose and double nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::Stored;
use queue_core::{Client, Enqueuer as _, ErrorKind, JobContext, JobId, Payload, RunningWorker, State};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::fault::{Manner, OUTAGES};
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::in_time;
use crate::conformance::program::{Program, SHORT_EXPIRY, new_job, stop};
use crate::conformance::session::Session;

cases! {
    Fault q01_workers_wait_for_a_fault_to_pass_and_lose_nothing on OUTAGES,
}

/// How often the fault comes and goes.
const ROUNDS: u32 = 2;
/// The jobs of a batch, which share a fate.
const BATCH: usize = 3;
/// How many runs show that workers go on.
const ENOUGH_RUNS: usize = 20;
/// How many failures show that the fault is felt.
const ENOUGH_FAILURES: u64 = 4;
/// Between two looks, and between two batches: a small machine is left some room.
const PAUSE: Duration = Duration::from_millis(4);

/// Each run of a handler by job and attempt, and how often it was seen.
type Runs = BTreeMap<(JobId, u32), u32>;

type Log = Arc<Mutex<Runs>>;

fn log(runs: &Log) -> std::sync::MutexGuard<'_, Runs> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two workers drain what is enqueued all the while, as the fault comes and goes. In the end each job that was
/// acknowledged has been completed by an attempt that ran once.
async fn q01_workers_wait_for_a_fault_to_pass_and_lose_nothing(kit: &Kit) -> CaseResult {
    let runs = Log::default();
    let mut programs = Vec::new();
    for handle in kit.two_impatient().await? {
        programs.push(program(&handle, &runs)?);
    }
    let start = |program: &Program| {
        program.start_with(4, |settings| {
            settings.worker_expiry = SHORT_EXPIRY;
            // They end only when nothing is left to settle.
            settings.outage_backoff_cap = Duration::from_millis(200);
        })
    };
    let workers = programs.iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let stopped = watch::Sender::new(false);
    let producer = tokio::spawn(produce(Client::new(kit.impatient().backend()?), stopped.subscribe()));
    for _ in 0..ROUNDS {
        go_on(&runs).await?;
        come_and_go(kit, &runs).await?;
    }
    go_on(&runs).await?;
    stopped.send_replace(true);
    let told = in_time("the producer to end", producer).await?.context("the producer panicked")??;
    drain(kit, workers).await?;
    let stored = kit.stored().await?;
    compare(&stored, &log(&runs), &told)
}

fn program(handle: &Session, runs: &Log) -> anyhow::Result<Program> {
    let mut program = Program::new(handle)?;
    let runs = Arc::clone(runs);
    program.on("job", move |context: JobContext, _: Payload| {
        let runs = Arc::clone(&runs);
        async move {
            let (job, attempt) = (context.id(), context.attempt());
            *log(&runs).entry((job, attempt)).or_default() += 1;
            sleep(Duration::from_millis(1)).await;
            context.capture_result(attempt.to_string());
            Ok(())
        }
    })?;
    Ok(program)
}

/// Waits until many more attempts have run than so far.
async fn go_on(runs: &Log) -> anyhow::Result<()> {
    let enough = log(runs).len() + ENOUGH_RUNS;
    let going_on = async {
        while log(runs).len() < enough {
            sleep(PAUSE).await;
        }
    };
    in_time("the workers to go on", going_on).await
}

/// Brings the fault about, waits until it is felt, and mends it.
async fn come_and_go(kit: &Kit, runs: &Log) -> CaseResult {
    let fault = kit.fault()?;
    let before = kit.history().passing_failures();
    if fault.manner() == Manner::Moment {
        let felt = async {
            while kit.history().passing_failures() < before + ENOUGH_FAILURES {
                kit.inject(&[]).await?.mend().await?;
                sleep(PAUSE).await;
            }
            Ok(())
        };
        return in_time("the fault to be felt", felt).await?;
    }
    let broken = kit.inject(&[]).await?;
    if fault.is_ridden_through() {
        go_on(runs).await?;
        ensure!(kit.history().passing_failures() == before, "somebody noticed: {:?}", kit.history());
    } else {
        let felt = async {
            while kit.history().passing_failures() < before + ENOUGH_FAILURES {
                sleep(PAUSE).await;
            }
        };
        in_time("the fault to be felt", felt).await?;
    }
    broken.mend().await
}

/// What became of everything that was enqueued, as the producer was told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Vec<JobId>,
    refused: Vec<JobId>,
    /// Those of each batch whose fate was left open.
    unknown: Vec<Vec<JobId>>,
}

/// Enqueues until it is told to stop.
async fn produce(client: Client, stopped: watch::Receiver<bool>) -> anyhow::Result<Told> {
    let mut told = Told::default();
    while !*stopped.borrow() {
        let ids = JobId::generate_many(BATCH);
        let jobs = ids.iter().map(|id| Ok(new_job("job", "{}")?.id(*id).max_retries(1000)));
        match client.submit(jobs.collect::<queue_core::Result<_>>()?).await {
            Ok(submitted) => {
                ensure!(submitted.iter().all(|job| job.is_new()), "new jobs were known: {submitted:?}");
                told.acknowledged.extend(ids);
            }
            Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
                ensure!(
                    error.jobs() == ids,
                    "an unknown outcome names {:?} instead of {ids:?}",
                    error.jobs()
                );
                told.unknown.push(ids);
            }
            Err(error) => {
                ensure!(error.is_retryable(), "an insert failed for good: {error:?}");
                told.refused.extend(ids);
            }
        }
        sleep(PAUSE).await;
    }
    Ok(told)
}

/// Lets the workers do the rest, and stops them.
async fn drain(kit: &Kit, workers: Vec<RunningWorker>) -> CaseResult {
    let drained = async {
        while kit.try_stored().await.map_or(1, |stored| stored.live.len()) > 0 {
            sleep(PAUSE * 4).await;
        }
    };
    in_time("all jobs to end", drained).await?;
    for worker in workers {
        stop(worker).await?;
    }
    Ok(())
}

fn compare(stored: &Stored, runs: &Runs, told: &Told) -> CaseResult {
    let gone = told.acknowledged.iter().find(|job| stored.jobs.binary_search(job).is_err());
    ensure!(gone.is_none(), "acknowledged, and gone: {gone:?}");
    let phantom = told.refused.iter().find(|job| stored.jobs.binary_search(job).is_ok());
    ensure!(phantom.is_none(), "refused, and there all the same: {phantom:?}");
    for batch in &told.unknown {
        let there = batch.iter().filter(|job| stored.jobs.binary_search(job).is_ok()).count();
        ensure!(there == 0 || there == batch.len(), "a part of a batch is there: {there} of {batch:?}");
    }
    for row in &stored.outcomes {
        ensure!(row.state == State::Completed, "it ended otherwise: {row:?}");
        let expected = Some(row.attempt.to_string().into_bytes());
        ensure!(row.result == expected, "its result is not that of its attempt: {row:?}");
        ensure!(runs.contains_key(&(row.id, row.attempt)), "it was completed, and did not run: {row:?}");
    }
    let doubled = runs.iter().find(|(_, times)| **times > 1);
    ensure!(doubled.is_none(), "an attempt ran more than once: {doubled:?}");
    Ok(())
}
