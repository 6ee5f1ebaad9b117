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
use queue_core::{HandlerResult, JobId, JobQueue, Task, Worker};
use serde::{Deserialize, Serialize};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Task for Greet {
    const KIND: &'static str = "greet";
    type Output = ();
}

async fn greet(job: Greet, id: JobId) -> HandlerResult {
    println!("  job {id}: hello, {}", job.name);
    Ok(())
}

/// Enqueues one job per name. Afterwards the jobs are only in the file.
async fn enqueue(file: &Path, names: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let queue = JobQueue::new(Arc::new(RedbBackend::open(file).await?));
    let jobs = queue.enqueue_batch(names.into_iter().map(|name| Greet { name })).await?;
    println!("{} jobs are on the disk", jobs.len());
    Ok(())
}

/// Works until all jobs are finished.
async fn work(file: &Path) -> Result<(), Failure> {
    let backend = Arc::new(RedbBackend::open(file).await?);
    let queue = JobQueue::new(backend.clone());
    let found = unfinished(&backend).await?;
    println!("{} jobs are in the file", found.len());
    let worker = Worker::new(&queue).handle(greet).start()?;
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
        enqueue(&file, ["Ada", "Charles", "Grace"].map(str::to_owned)).await?;
        println!("the file was closed and is opened again");
        return work(&file).await;
    };
    let names: Vec<String> = arguments.collect();
    if names.is_empty() { work(&file).await } else { enqueue(&file, names).await }
}
