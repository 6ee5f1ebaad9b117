//! Shuts down a worker. Jobs that finish in time complete; the others are asked to stop and run
//! again later.
//!
//! ```sh
//! cargo run --release --example graceful_shutdown
//! ```

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use queue::backend::ListRequest;
use queue::{HandlerResult, JobContext, JobError, JobQueue, TaskDefinition, Worker};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Works for this number of milliseconds, unless it is asked to stop.
static WORK: TaskDefinition<u64> =
    TaskDefinition::new("work", |context, millis| Box::pin(work(context, millis)))
        .with_options_fn(|| queue::TaskOptions::new().needs_state::<Started>());

#[derive(Debug)]
struct Started(UnboundedSender<u64>);

async fn work(context: JobContext, millis: u64) -> HandlerResult {
    context.state::<Started>()?.0.send(millis)?;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(millis)) => {
            println!("  {millis} ms of work: done");
            Ok(())
        }
        () = context.cancellation().cancelled() => {
            let late = context.deadline().unwrap_or_else(Instant::now).elapsed();
            println!("  {millis} ms of work: asked to stop, {late:.0?} after the deadline");
            // The worker ignores this result and releases the job without counting the attempt.
            Err(JobError::retry("stopped"))
        }
    }
}

async fn run() -> queue_examples::Result {
    let backend = queue::connect("sqlite::memory:").await?;
    let mut queue = JobQueue::new(backend.clone());
    let work = WORK.register(&mut queue)?;
    work.enqueue_batch(&[100, 60_000, 1, 2, 3]).await?;

    let (started, mut starts) = unbounded_channel();
    let worker = Worker::new().serve(&queue).slots(2).state(Started(started)).start()?;
    for _ in 0..2 {
        starts.recv().await.ok_or("the worker ended")?;
    }
    println!("two of five jobs run; shutting down within a second:");
    let clock = Instant::now();
    let report = worker.shutdown(Duration::from_secs(1)).await;
    println!("shut down in {:.0?}, {} handlers left running", clock.elapsed(), report.abandoned);

    let jobs = backend.extensions().inspect.ok_or("this backend does not show its jobs")?;
    for job in jobs.list(ListRequest::new(10)).await? {
        let millis: u64 = job.job.payload.decode()?;
        println!("  {millis} ms of work: {}, attempts charged: {}", job.state, job.attempt);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    queue_examples::exit_code(run().await)
}
