//! Q19: the handler of one job does not block other jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use queue_core::{
    Enqueuer as _, HandlerResult, JobContext, JobId, JobQueue, JobState, NewJob, Payload, QueueName, Worker,
    blocking,
};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::program::{Program, new_job, stop};
use crate::conformance::session::queue;

cases! {
    Race q19_a_handler_that_never_ends_harms_its_own_job_only,
    Race q19_a_handler_that_blocks_its_thread_harms_its_own_job_only,
    Race q19_a_handler_that_panics_harms_its_own_job_only,
    Race q19_a_payload_of_the_wrong_shape_harms_its_own_job_only,
    Race q19_jobs_that_a_worker_does_not_handle_are_left_to_others,
    Race q19_a_worker_of_many_queues_runs_the_jobs_of_all,
}

async fn count(context: JobContext, payload: Payload) -> HandlerResult {
    let number: u64 = payload.decode()?;
    context.capture_json(&(number + 1))?;
    Ok(())
}

/// Submits twenty good jobs with the job `bad` after the first. Returns the id of `bad` and the ids
/// of the others.
async fn submit_around(program: &Program, bad: NewJob) -> anyhow::Result<(JobId, Vec<JobId>)> {
    let mut jobs = (0..20)
        .map(|number| new_job("count", &number.to_string()))
        .collect::<queue_core::Result<Vec<_>>>()?;
    jobs.insert(1, bad);
    let mut ids: Vec<JobId> = program.queue.submit(jobs).await?.iter().map(|job| job.id).collect();
    Ok((ids.remove(1), ids))
}

async fn are_counted(kit: &Kit, ids: &[JobId]) -> CaseResult {
    for (number, id) in (1..).zip(ids) {
        let record = kit.record(*id).await?;
        let expected = Some(i32::to_string(&number).into_bytes());
        ensure_eq!(
            (record.state, record.attempt),
            (JobState::Completed, 1),
            "the state and attempt of a good job"
        );
        ensure_eq!(record.result, expected, "the result of a good job");
    }
    Ok(())
}

/// A handler never returns. It must be stopped at its timeout in each attempt, and its job must
/// then be dead. The other jobs must complete.
async fn q19_a_handler_that_never_ends_harms_its_own_job_only(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    program.on("count", count)?;
    program.on("endless", |_: JobContext, _: Payload| std::future::pending())?;
    let worker = program.start_with(2, |settings| settings.cancellation_grace = Duration::from_millis(20))?;
    let endless = new_job("endless", "{}")?.timeout(Duration::from_millis(20)).max_retries(1);
    let (bad, good) = submit_around(&program, endless).await?;
    program.ended(&good).await?;
    program.ended(&[bad]).await?;
    stop(worker).await?;
    are_counted(kit, &good).await?;
    let record = kit.record(bad).await?;
    ensure_eq!(
        (record.state, record.attempt),
        (JobState::Dead, 2),
        "the state and attempt of the endless job"
    );
    let error = record.error.unwrap_or_default();
    ensure!(error.contains("timed out"), "the error of the endless job is `{error}`");
    Ok(())
}

/// A handler blocks its thread, so it cannot be stopped. It may only occupy its own slot, and the
/// other jobs must complete.
async fn q19_a_handler_that_blocks_its_thread_harms_its_own_job_only(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    program.on("count", count)?;
    let may_end = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&may_end);
    let block = move |_: JobContext, _: Payload| {
        while !ends.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        HandlerResult::Ok(())
    };
    program.on_handler("block", Arc::new(blocking(block)))?;
    let worker = program.start(2)?;
    let (bad, good) = submit_around(&program, new_job("block", "{}")?).await?;
    let outcome = program.ended(&good).await;
    let state = kit.state(bad).await;
    // The thread spins until this flag is set, so set it before any check can return.
    may_end.store(true, Ordering::SeqCst);
    outcome?;
    ensure_eq!(state?, JobState::Running, "the state of the blocking job");
    program.ended(&[bad]).await?;
    stop(worker).await?;
    are_counted(kit, &good).await?;
    ensure_eq!(kit.state(bad).await?, JobState::Completed, "the state of the job whose handler returned");
    Ok(())
}

/// A handler panics on each attempt. Each panic must be recorded with its message, and the other
/// jobs must complete.
async fn q19_a_handler_that_panics_harms_its_own_job_only(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    program.on("count", count)?;
    // `resume_unwind` skips the panic hook, which would print a message.
    program.on("panic", |_, _| async { std::panic::resume_unwind(Box::new("out of cheese")) })?;
    let worker = program.start(1)?;
    let (bad, good) = submit_around(&program, new_job("panic", "{}")?.max_retries(2)).await?;
    program.ended(&good).await?;
    program.ended(&[bad]).await?;
    stop(worker).await?;
    are_counted(kit, &good).await?;
    let record = kit.record(bad).await?;
    ensure_eq!(
        (record.state, record.errors.len()),
        (JobState::Dead, 3),
        "the state and number of errors of the panicking job"
    );
    for error in record.errors {
        ensure!(error.error.contains("out of cheese"), "the panic is recorded as {error:?}");
    }
    Ok(())
}

/// A payload does not decode. Each attempt must fail with a recorded error, so that a corrected
/// program can still run the job.
async fn q19_a_payload_of_the_wrong_shape_harms_its_own_job_only(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    program.on("count", count)?;
    let worker = program.start_with(2, |settings| {
        settings.decode_retries = 1000;
        settings.decode_retry_delay = Duration::ZERO;
    })?;
    let (bad, good) = submit_around(&program, new_job("count", "\"three\"")?.max_retries(1000)).await?;
    program.ended(&good).await?;
    while program.next_start().await?.id != bad {}
    while program.next_start().await?.id != bad {}
    stop(worker).await?;
    are_counted(kit, &good).await?;
    let record = kit.record(bad).await?;
    ensure!(!record.state.is_finished(), "the job with the bad payload is {}", record.state);
    ensure!(!record.errors.is_empty(), "the failed attempts are not recorded");

    let mut corrected = Program::new(kit)?;
    corrected.on("count", |_, payload| async move {
        payload.decode::<String>()?;
        Ok(())
    })?;
    let worker = corrected.start(1)?;
    corrected.ended(&[bad]).await?;
    stop(worker).await?;
    ensure_eq!(
        kit.state(bad).await?,
        JobState::Completed,
        "the state of the job after the corrected program ran it"
    );
    Ok(())
}

/// A queue holds a thousand more urgent jobs of another kind. The worker must run its own jobs and
/// leave the others unchanged.
async fn q19_jobs_that_a_worker_does_not_handle_are_left_to_others(kit: &Kit) -> CaseResult {
    let client = JobQueue::new(kit.backend()?);
    let theirs = || Ok(new_job("theirs", "{}")?.priority(9));
    client.submit((0..1000).map(|_| theirs()).collect::<queue_core::Result<_>>()?).await?;
    let mut program = Program::new(kit)?;
    program.on("count", count)?;
    let worker = program.start(2)?;
    let numbers = (0..20).map(|number| new_job("count", &number.to_string()));
    let submitted = client.submit(numbers.collect::<queue_core::Result<_>>()?).await?;
    let ids: Vec<JobId> = submitted.iter().map(|job| job.id).collect();
    program.ended(&ids).await?;
    stop(worker).await?;
    are_counted(kit, &ids).await?;
    let live = kit.stored().await?.live;
    ensure_eq!(live.len(), 1000, "the number of jobs left");
    ensure!(
        live.iter().all(|row| (row.state, row.attempt) == (JobState::Ready, 0)),
        "a job of another kind was claimed"
    );
    Ok(())
}

/// The number of queues that the worker serves.
const QUEUES: usize = 60;

/// The number of jobs per queue and insert.
const JOBS: usize = 3;

/// A worker serves sixty queues. It must run jobs inserted before its start, jobs inserted while it
/// is idle, and scheduled jobs.
async fn q19_a_worker_of_many_queues_runs_the_jobs_of_all(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    program.on("job", |_: JobContext, _: Payload| async { HandlerResult::Ok(()) })?;
    let queues: Vec<QueueName> =
        (0..QUEUES).map(|number| queue(&format!("q{number}"))).collect::<queue_core::Result<_>>()?;
    let jobs = |from: usize| -> anyhow::Result<Vec<NewJob>> {
        let some = queues.iter().skip(from).step_by(3);
        let jobs = some.flat_map(|queue| (0..JOBS).map(|_| Ok(new_job("job", "1")?.queue(queue.clone()))));
        jobs.collect()
    };
    let ids =
        |submitted: Vec<queue_core::Submitted>| submitted.into_iter().map(|job| job.id).collect::<Vec<_>>();
    let before = ids(program.queue.submit(jobs(0)?).await?);
    let worker = Worker::new(&program.queue).queues(queues.clone()).slots(4).start()?;
    program.ended(&before).await?;
    // Another handle inserts the jobs, if there is one, so that this worker's handle does not know
    // them.
    let handles = kit.handles(2).await?;
    let elsewhere = JobQueue::new(handles[1].backend()?);
    let meanwhile = ids(elsewhere.submit(jobs(1)?).await?);
    program.ended(&meanwhile).await?;
    let soon = queue_core::Timestamp::now().saturating_add(Duration::from_millis(300));
    let later = jobs(2)?.into_iter().map(|job| job.run_at(soon)).collect();
    let later = ids(elsewhere.submit(later).await?);
    program.ended(&later).await?;
    drop(Arc::clone(&handles[0]));
    stop(worker).await
}
