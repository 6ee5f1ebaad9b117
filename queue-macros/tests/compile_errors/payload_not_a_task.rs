//! A payload type was not derived.

use queue_core::{HandlerResult, JobQueue, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Greet;

async fn greet(_: Greet) -> HandlerResult {
    Ok(())
}

fn worker(jobs: &JobQueue) -> Worker {
    Worker::new(jobs).handle(greet)
}

async fn enqueue(jobs: &JobQueue) {
    let _ = jobs.enqueue(Greet);
}

fn main() {}
