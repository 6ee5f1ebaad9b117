//! Handler functions: parameters, errors, results.

use std::error::Error;
use std::fmt;
use std::sync::mpsc;

use queue_core::{
    Attributes, CancelReply, CancellationToken, FromContext, HandlerResult, JobContext, JobError, JobId,
    JobQueue, JobState, State, Worker,
};

use crate::tasks::{Charge, Measure};
use crate::{PATIENCE, queue, record, wait_for};

/// A parameter of an application.
struct Attempt(u32);

impl FromContext for Attempt {
    fn from_context(context: &JobContext) -> HandlerResult<Self> {
        Ok(Self(context.attempt()))
    }
}

type Seen = mpsc::SyncSender<String>;

#[expect(clippy::too_many_arguments, reason = "every parameter is in it")]
async fn charge(
    job: Charge,
    id: JobId,
    context: JobContext,
    jobs: JobQueue,
    stop: CancellationToken,
    attributes: Option<Attributes>,
    attempt: Attempt,
    seen: State<Seen>,
) -> HandlerResult {
    assert_eq!(id, context.id());
    assert!(!stop.is_cancelled() && attributes.is_none());
    let measured = jobs.enqueue(Measure { text: "of a handler".into() }).await?;
    seen.send(format!("order {}, attempt {}, then {}", job.order, attempt.0, measured.id()))?;
    Ok(())
}

#[tokio::test]
async fn parameters_are_taken_from_the_context() {
    let (sender, seen) = mpsc::sync_channel(1);
    let jobs = queue();
    let worker = Worker::new(&jobs).state::<Seen>(sender).handle(charge).start().unwrap();
    let job = jobs.enqueue(Charge { order: 7 }).await.unwrap();
    wait_for(&jobs, job.id(), |job| job.state == JobState::Completed).await;
    let seen = seen.recv().unwrap();
    let (words, next) = seen.rsplit_once(' ').unwrap();
    assert_eq!(words, "order 7, attempt 1, then");
    assert_eq!(record(&jobs, next.parse().unwrap()).await.job.kind.as_str(), "measure");
    worker.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn output_is_stored_and_unit_is_not() {
    async fn measure(job: Measure) -> HandlerResult<usize> {
        Ok(job.text.len())
    }
    async fn charge(_: Charge) -> HandlerResult {
        Ok(())
    }
    let jobs = queue();
    let worker = Worker::new(&jobs).handle(measure).handle(charge).start().unwrap();
    let measured = jobs.enqueue(Measure { text: "four".into() }).await.unwrap();
    let charged = jobs.enqueue(Charge { order: 1 }).await.unwrap();
    let completed = |id| wait_for(&jobs, id, |job| job.state == JobState::Completed);
    assert_eq!(completed(measured.id()).await.result.as_deref(), Some(b"4".as_slice()));
    assert_eq!(completed(charged.id()).await.result, None);
    worker.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn blocking_function_may_block() {
    #[expect(clippy::needless_pass_by_value, reason = "a handler owns its parameters")]
    fn measure(job: Measure, done: State<mpsc::SyncSender<()>>) -> Result<usize, std::io::Error> {
        done.send(()).map_err(std::io::Error::other)?;
        Ok(job.text.len())
    }
    let jobs = queue();
    let (sender, done) = mpsc::sync_channel::<()>(0); // blocks the sender until it is received
    let worker = Worker::new(&jobs).state(sender).handle_blocking(measure).start().unwrap();
    let job = jobs.enqueue(Measure { text: "four".into() }).await.unwrap();
    tokio::task::spawn_blocking(move || done.recv_timeout(PATIENCE)).await.unwrap().unwrap();
    let stored = wait_for(&jobs, job.id(), |job| job.state == JobState::Completed).await;
    assert_eq!(stored.result.as_deref(), Some(b"4".as_slice()));
    worker.shutdown(PATIENCE).await;
}

/// An error with a cause.
#[derive(Debug)]
struct Refused(std::io::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bank refused")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn any_error_becomes_a_retry_with_its_causes() {
    let refused = || Refused(std::io::Error::other("no route"));
    let boxed: Box<dyn Error + Send + Sync> = Box::new(refused());
    let context = anyhow::Error::from(refused()).context("order 7");
    let errors: [(JobError, &str); 5] = [
        (refused().into(), "the bank refused: no route"),
        (boxed.into(), "the bank refused: no route"),
        (context.into(), "order 7: the bank refused: no route"),
        ("no such order".into(), "no such order"),
        (format!("no order {}", 7).into(), "no order 7"),
    ];
    for (error, text) in errors {
        assert!(matches!(&error, JobError::Retry { error, after: None } if error == text), "{error:?}");
    }
}

#[tokio::test]
async fn running_job_is_cancelled_by_its_token() {
    async fn charge(_: Charge, stop: CancellationToken) -> Result<(), anyhow::Error> {
        stop.cancelled().await;
        anyhow::bail!("stopped")
    }
    let jobs = queue();
    let worker = Worker::new(&jobs).handle(charge).start().unwrap();
    let job = jobs.enqueue(Charge { order: 1 }).await.unwrap();
    wait_for(&jobs, job.id(), |job| job.state == JobState::Running).await;
    assert_eq!(jobs.cancel(job.id()).await.unwrap(), CancelReply::Running);
    wait_for(&jobs, job.id(), |job| job.state == JobState::Cancelled).await;
    worker.shutdown(PATIENCE).await;
}
