//! Waits for what a handler returns, as a web request does. Shows each kind of error.
//!
//! ```sh
//! cargo run --example request_reply
//! ```

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::process::ExitCode;
use std::time::Duration;

use queue::{HandlerResult, JobError, JobId, ResultErrorKind, Task, Worker};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "build-report", output = Report)]
struct BuildReport {
    order: i64,
}

#[derive(Serialize, Deserialize)]
struct Report {
    pages: u32,
}

async fn build_report(job: BuildReport) -> HandlerResult<Report> {
    if job.order < 0 {
        return Err(JobError::bury(format!("there is no order {}", job.order)));
    }
    Ok(Report { pages: 3 })
}

async fn run() -> queue_examples::Result {
    let jobs = queue::connect("sqlite::memory:").await?;
    let worker = Worker::new(&jobs).handle(build_report).start()?;

    let report = jobs.enqueue(BuildReport { order: 7 }).await?.result().await?;
    println!("order 7: {} pages", report.pages);

    // The id can go to another request, or to another process.
    let id = jobs.enqueue(BuildReport { order: 8 }).await?.id();
    let report: Report = timeout(Duration::from_secs(10), jobs.result(id)).await??;
    println!("order 8, by its id: {} pages", report.pages);

    let dead = jobs.enqueue(BuildReport { order: -1 }).await?;
    match dead.result().await {
        Err(error) if error.kind() == ResultErrorKind::Dead => println!("{error}"),
        _ => println!("order -1 exists"),
    }
    if let Err(error) = jobs.result::<Report>(JobId::generate()).await {
        println!("{error}");
    }
    worker.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    queue_examples::exit_code(run().await)
}
