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
use queue::{HandlerResult, JobContext, JobError, State, Task, Worker};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Works for this number of milliseconds, unless it is asked to stop.
#[derive(Debug, Serialize, Deserialize, Task)]
#[task(kind = "work")]
struct Work {
    millis: u64,
}

/// Reports each start.
type Starts = UnboundedSender<u64>;

async fn work(Work { millis }: Work, context: JobContext, starts: State<Starts>) -> HandlerResult {
    starts.send(millis)?;
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
    let jobs = queue::connect("sqlite::memory:").await?;
    jobs.enqueue_batch([100, 60_000, 1, 2, 3].map(|millis| Work { millis })).await?;

    let (sender, mut starts) = unbounded_channel::<u64>();
    let worker = Worker::new(&jobs).state(sender).handle(work).slots(2).start()?;
    for _ in 0..2 {
        starts.recv().await.ok_or("the worker ended")?;
    }
    println!("two of five jobs run; shutting down within a second:");
    let clock = Instant::now();
    let report = worker.shutdown(Duration::from_secs(1)).await;
    println!("shut down in {:.0?}, {} handlers left running", clock.elapsed(), report.abandoned);

    for job in jobs.inspect()?.list(ListRequest::new(10)).await? {
        let Work { millis } = job.job.payload.decode()?;
        println!("  {millis} ms of work: {}, attempts charged: {}", job.state, job.attempt);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    queue_examples::exit_code(run().await)
}
