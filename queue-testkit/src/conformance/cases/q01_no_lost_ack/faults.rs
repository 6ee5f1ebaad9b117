//! Q1, Q2: workers survive a fault of the storage, then run each acknowledged job once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::Stored;
use queue_core::{Enqueuer as _, ErrorKind, JobContext, JobId, JobQueue, JobState, Payload, RunningWorker};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::fault::{Manner, OUTAGES};
use crate::conformance::kit::Kit;
use crate::conformance::program::{Program, SHORT_EXPIRY, new_job, stop};
use crate::conformance::session::Session;
use crate::conformance::wait::in_time;

cases! {
    Fault q01_workers_wait_for_a_fault_to_pass_and_lose_nothing on OUTAGES,
}

/// How often the fault is injected and removed.
const ROUNDS: u32 = 2;
/// The jobs of a batch, which is stored whole or not at all.
const BATCH: usize = 3;
/// This many runs show that the workers make progress.
const ENOUGH_RUNS: usize = 20;
/// This many failures show that the fault has an effect.
const ENOUGH_FAILURES: u64 = 4;
/// The pause between two polls, and between two batches, so that a small machine is not saturated.
const PAUSE: Duration = Duration::from_millis(4);

/// How often each attempt of each job ran.
type Runs = BTreeMap<(JobId, u32), u32>;

type Log = Arc<Mutex<Runs>>;

fn log(runs: &Log) -> std::sync::MutexGuard<'_, Runs> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two workers drain jobs while an enqueuer inserts more and the fault is injected and removed.
/// Afterwards each acknowledged job must be completed, by an attempt that ran exactly once.
async fn q01_workers_wait_for_a_fault_to_pass_and_lose_nothing(kit: &Kit) -> CaseResult {
    let runs = Log::default();
    let mut programs = Vec::new();
    for handle in kit.two_impatient().await? {
        programs.push(program(&handle, &runs)?);
    }
    let start = |program: &Program| {
        program.start_with(4, |settings| {
            settings.worker_expiry = SHORT_EXPIRY;
            // The cap is short, so that the workers retry soon after the fault is removed.
            settings.outage_backoff_cap = Duration::from_millis(200);
        })
    };
    let workers = programs.iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let stopped = watch::Sender::new(false);
    let enqueuer =
        tokio::spawn(enqueue_until_stopped(JobQueue::new(kit.impatient().backend()?), stopped.subscribe()));
    for _ in 0..ROUNDS {
        wait_for_more_runs(&runs).await?;
        inject_and_mend(kit, &runs).await?;
    }
    wait_for_more_runs(&runs).await?;
    stopped.send_replace(true);
    let inserts = in_time("the enqueuer to end", enqueuer).await?.context("the enqueuer panicked")??;
    drain(kit, workers).await?;
    let stored = kit.stored().await?;
    compare(&stored, &log(&runs), &inserts)
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

/// Waits until the workers have run `ENOUGH_RUNS` more attempts.
async fn wait_for_more_runs(runs: &Log) -> anyhow::Result<()> {
    let enough = log(runs).len() + ENOUGH_RUNS;
    let more_runs = async {
        while log(runs).len() < enough {
            sleep(PAUSE).await;
        }
    };
    in_time("the workers to run more jobs", more_runs).await
}

/// Injects the fault, waits until requests fail, and removes the fault.
async fn inject_and_mend(kit: &Kit, runs: &Log) -> CaseResult {
    let fault = kit.fault()?;
    let before = kit.history().passing_failures();
    if fault.manner() == Manner::Moment {
        let failing = async {
            while kit.history().passing_failures() < before + ENOUGH_FAILURES {
                kit.inject(&[]).await?.mend().await?;
                sleep(PAUSE).await;
            }
            Ok(())
        };
        return in_time("requests to fail under the fault", failing).await?;
    }
    let broken = kit.inject(&[]).await?;
    if fault.is_hidden_from_callers() {
        wait_for_more_runs(runs).await?;
        ensure!(
            kit.history().passing_failures() == before,
            "requests failed under a fault that must not be noticed: {:?}",
            kit.history()
        );
    } else {
        let failing = async {
            while kit.history().passing_failures() < before + ENOUGH_FAILURES {
                sleep(PAUSE).await;
            }
        };
        in_time("requests to fail under the fault", failing).await?;
    }
    broken.mend().await
}

/// The jobs of the enqueuer by the result of their insert.
#[derive(Debug, Default)]
struct Inserts {
    acknowledged: Vec<JobId>,
    refused: Vec<JobId>,
    /// The jobs of each batch whose insert had an unknown outcome.
    unknown: Vec<Vec<JobId>>,
}

/// Enqueues until `stopped` is set.
async fn enqueue_until_stopped(client: JobQueue, stopped: watch::Receiver<bool>) -> anyhow::Result<Inserts> {
    let mut inserts = Inserts::default();
    while !*stopped.borrow() {
        let ids = JobId::generate_many(BATCH);
        let jobs = ids.iter().map(|id| Ok(new_job("job", "{}")?.id(*id).max_retries(1000)));
        match client.submit(jobs.collect::<queue_core::Result<_>>()?).await {
            Ok(submitted) => {
                ensure!(
                    submitted.iter().all(|job| job.is_new()),
                    "jobs with new ids were reported as known: {submitted:?}"
                );
                inserts.acknowledged.extend(ids);
            }
            Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
                ensure!(
                    error.jobs() == ids,
                    "an unknown outcome names {:?} instead of {ids:?}",
                    error.jobs()
                );
                inserts.unknown.push(ids);
            }
            Err(error) => {
                ensure!(
                    error.is_retryable(),
                    "an insert failed with an error that is not retryable: {error:?}"
                );
                inserts.refused.extend(ids);
            }
        }
        sleep(PAUSE).await;
    }
    Ok(inserts)
}

/// Waits until the workers have finished all jobs, and stops them.
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

fn compare(stored: &Stored, runs: &Runs, inserts: &Inserts) -> CaseResult {
    let missing = inserts.acknowledged.iter().find(|job| stored.jobs.binary_search(job).is_err());
    ensure!(missing.is_none(), "an acknowledged job is not stored: {missing:?}");
    let phantom = inserts.refused.iter().find(|job| stored.jobs.binary_search(job).is_ok());
    ensure!(phantom.is_none(), "a job whose insert failed is stored: {phantom:?}");
    for batch in &inserts.unknown {
        let there = batch.iter().filter(|job| stored.jobs.binary_search(job).is_ok()).count();
        ensure!(there == 0 || there == batch.len(), "a part of a batch is stored: {there} jobs of {batch:?}");
    }
    for row in &stored.outcomes {
        ensure!(row.state == JobState::Completed, "a job ended in another state than completed: {row:?}");
        let expected = Some(row.attempt.to_string().into_bytes());
        ensure!(row.result == expected, "the stored result is not that of the job's attempt: {row:?}");
        ensure!(
            runs.contains_key(&(row.id, row.attempt)),
            "a job is completed, but the handler never ran this attempt: {row:?}"
        );
    }
    let doubled = runs.iter().find(|(_, times)| **times > 1);
    ensure!(doubled.is_none(), "an attempt ran more than once: {doubled:?}");
    Ok(())
}
