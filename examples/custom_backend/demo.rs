//! Jobs in a redb file: one run of the program enqueues them, another run works them.
//!
//! ```sh
//! # Enqueues and works jobs in a temporary file:
//! cargo run -p custom-backend --example custom_backend
//! # Enqueues two jobs:
//! cargo run -p custom-backend --example custom_backend -- jobs.redb Ada Charles
//! # Works the jobs in the file:
//! cargo run -p custom-backend --example custom_backend -- jobs.redb
//! ```

#![expect(clippy::print_stdout, reason = "a demo prints its steps")]

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

/// Enqueues one job per name. Afterwards the jobs are only in the file.
async fn enqueue(file: &Path, names: &[String]) -> Result<(), Failure> {
    let mut queue = JobQueue::new(Arc::new(RedbBackend::open(file).await?));
    let greet = GREET.register(&mut queue)?;
    let ids = greet.enqueue_batch(names).await?;
    println!("{} jobs are on the disk", ids.len());
    Ok(())
}

/// Works until all jobs are finished.
async fn work(file: &Path) -> Result<(), Failure> {
    let backend = Arc::new(RedbBackend::open(file).await?);
    let mut queue = JobQueue::new(backend.clone());
    GREET.register(&mut queue)?;
    let found = unfinished(&backend).await?;
    println!("{} jobs are in the file", found.len());
    let worker = Worker::new(&queue).start()?;
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
        println!("the file was closed and is opened again");
        return work(&file).await;
    };
    let names: Vec<String> = arguments.collect();
    if names.is_empty() { work(&file).await } else { enqueue(&file, &names).await }
}
