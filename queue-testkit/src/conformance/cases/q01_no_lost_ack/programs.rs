//! Q1: a worker brings each job to the state that its handler chose.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use queue_core::{Enqueuer, HandlerResult, JobContext, JobError, JobId, JobState, Payload, Queue as _};
use tokio::time::sleep;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::program::{GRACE, Program, new_job, stop};
use crate::conformance::wait::in_time;

cases! {
    Race q01_a_worker_brings_every_job_to_the_end_its_handler_chose,
    Race q01_jobs_that_jobs_enqueue_are_run,
    Race q01_a_shutdown_in_the_middle_leaves_the_rest_to_the_next_worker,
}

/// Jobs that end before the worker is shut down.
const BEFORE_SHUTDOWN: usize = 20;
const SLOTS: usize = 2;
/// The interval at which a condition is polled.
const LOOK: Duration = Duration::from_millis(1);

/// The payload selects the verdict: complete, fail once, panic once, always fail, bury or cancel.
async fn obey(context: JobContext, payload: Payload) -> HandlerResult {
    let is_first = context.attempt() == 1;
    match payload.decode::<String>()?.as_str() {
        "fail once" if is_first => Err(JobError::retry("not yet")),
        "panic once" if is_first => std::panic::resume_unwind(Box::new("handlers may")),
        "fail" => Err(JobError::retry_after(Duration::ZERO, "never")),
        "bury" => Err(JobError::bury("hopeless")),
        "cancel" => Err(JobError::cancel("not wanted")),
        _ => {
            context.capture_result(payload.as_bytes());
            Ok(())
        }
    }
}

/// Each job must end in the state that its handler returned, after exactly the attempts that the
/// handler needed.
async fn q01_a_worker_brings_every_job_to_the_end_its_handler_chose(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    program.on("obey", obey)?;
    let expected = [
        ("\"well\"", JobState::Completed, 1),
        ("\"fail once\"", JobState::Completed, 2),
        ("\"panic once\"", JobState::Completed, 2),
        ("\"fail\"", JobState::Dead, 4),
        ("\"bury\"", JobState::Dead, 1),
        ("\"cancel\"", JobState::Cancelled, 1),
    ];
    let mut ids = Vec::new();
    for _ in 0..5 {
        for (payload, ..) in expected {
            ids.push(Enqueuer::enqueue(&program.queue, "obey", Payload::json(payload)?).await?);
        }
    }
    let worker = program.start(4)?;
    program.ended(&ids).await?;
    stop(worker).await?;
    for (id, (payload, state, attempts)) in ids.into_iter().zip(expected.into_iter().cycle()) {
        let record = kit.record(id).await?;
        ensure_eq!(
            (record.state, record.attempt),
            (state, attempts),
            "the state and attempt of the job with payload {payload}"
        );
        ensure_eq!(
            record.result.is_some(),
            state == JobState::Completed,
            "whether the job with payload {payload} has a result"
        );
    }
    Ok(())
}

/// Each handler enqueues two more jobs until a depth is reached. All 127 jobs must run.
async fn q01_jobs_that_jobs_enqueue_are_run(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    let enqueuer = program.queue.enqueuer();
    program.on("split", move |_: JobContext, payload: Payload| {
        let enqueuer = Arc::clone(&enqueuer);
        async move {
            let depth: u8 = payload.decode()?;
            if depth > 0 {
                let below = Payload::encode(&(depth - 1))?;
                enqueuer.enqueue_batch("split", vec![below.clone(), below]).await?;
            }
            Ok(())
        }
    })?;
    Enqueuer::enqueue(&program.queue, "split", Payload::json("6")?).await?;
    let worker = program.start(4)?;
    for _ in 0..127 {
        program.next_start().await?;
    }
    stop(worker).await?;
    let stored = kit.stored().await?;
    ensure_eq!(
        (stored.jobs.len(), stored.outcomes.len()),
        (127, 127),
        "the number of jobs, and of jobs with an outcome"
    );
    Ok(())
}

/// A worker is shut down while it runs jobs and holds claimed jobs that have not started. It must
/// release those at no cost, and the next worker must run them once.
async fn q01_a_shutdown_in_the_middle_leaves_the_rest_to_the_next_worker(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    let started = AtomicUsize::new(0);
    program.on("job", move |context: JobContext, _: Payload| {
        let number = started.fetch_add(1, Ordering::Relaxed);
        let runs_on = (BEFORE_SHUTDOWN..BEFORE_SHUTDOWN + SLOTS).contains(&number);
        async move {
            // A deadline within the grace period is that of the shutdown, because the job's own is
            // later.
            let is_far = |deadline: Instant| deadline > Instant::now() + GRACE;
            while runs_on && context.deadline().is_none_or(is_far) {
                sleep(LOOK).await;
            }
            Ok(())
        }
    })?;
    let jobs = (0..200).map(|_| new_job("job", "{}")).collect::<queue_core::Result<_>>()?;
    let ids: Vec<JobId> = program.queue.submit(jobs).await?.iter().map(|job| job.id).collect();
    let first = program.start(SLOTS)?;
    for _ in 0..BEFORE_SHUTDOWN + SLOTS {
        program.next_start().await?;
    }
    let has_more = async {
        while kit.stored().await?.live.iter().filter(|row| row.state == JobState::Running).count() <= SLOTS {
            sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    in_time("a claimed job that has not started", has_more).await??;
    stop(first).await?;
    let left = kit.stored().await?.live;
    ensure!(!left.is_empty(), "all jobs ended before the shutdown, so the case proves nothing");
    ensure!(
        left.iter().all(|row| row.state == JobState::Ready),
        "the shutdown did not release a job that had not started"
    );
    let second = program.start(SLOTS)?;
    program.ended(&ids).await?;
    stop(second).await?;
    for row in kit.stored().await?.outcomes {
        ensure!(
            (row.state, row.attempt) == (JobState::Completed, 1),
            "a job that must complete on attempt 1 ended as {row:?}"
        );
    }
    Ok(())
}
