//! Jobs in a redb file: entered by one run of the program, worked by another.
//!
//! ```sh
//! cargo run -p custom-backend --example custom_backend                           # both, on a file that is removed
//! cargo run -p custom-backend --example custom_backend -- jobs.redb Ada Charles  # enters two jobs
//! cargo run -p custom-backend --example custom_backend -- jobs.redb              # works what is there
//! ```

#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use custom_backend::RedbBackend;
use queue_core::backend::{Inspect as _, ListRequest};
use queue_core::{HandlerResult, JobContext, JobId, JobQueue, TaskDefinition, Worker};

type Failure = Box<dyn std::error::Error + Send + Sync>;

static GREET: TaskDefinition<String> =
    TaskDefinition::new("greet", |context, name| Box::pin(greet(context, name)));

async fn greet(context: JobContext, name: String) -> HandlerResult {
    println!("  job {}: hello, {name}", context.id());
    Ok(())
}

/// Enters a job for each name, and ends: the jobs are in the file, and nowhere else.
async fn enqueue(file: &Path, names: &[String]) -> Result<(), Failure> {
    let mut queue = JobQueue::new(Arc::new(RedbBackend::open(file).await?));
    let greet = GREET.register(&mut queue)?;
    let ids = greet.enqueue_batch(names).await?;
    println!("{} jobs are on the disk", ids.len());
    Ok(())
}

/// Works until no job is left unfinished.
async fn work(file: &Path) -> Result<(), Failure> {
    let backend = Arc::new(RedbBackend::open(file).await?);
    let mut queue = JobQueue::new(backend.clone());
    GREET.register(&mut queue)?;
    let found = unfinished(&backend).await?;
    println!("{} jobs are there from before", found.len());
    let worker = Worker::new().serve(&queue).start()?;
    while !unfinished(&backend).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.shutdown(Duration::from_secs(5)).await;
    println!("all are done");
    Ok(())
}

async fn unfinished(backend: &RedbBackend) -> Result<Vec<JobId>, Failure> {
    let jobs = backend.list(ListRequest::new(1_000)).await?;
    Ok(jobs.into_iter().filter(|job| !job.state.is_finished()).map(|job| job.job.id).collect())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next().map(PathBuf::from) else {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("jobs.redb");
        enqueue(&file, &["Ada".to_owned(), "Charles".to_owned(), "Grace".to_owned()]).await?;
        println!("the file is closed, and opened again");
        return work(&file).await;
    };
    let names: Vec<String> = arguments.collect();
    if names.is_empty() { work(&file).await } else { enqueue(&file, &names).await }
}
