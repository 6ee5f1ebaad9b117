//! An async function is registered as a blocking one.

use queue_core::{HandlerResult, JobQueue, Worker};
use queue_macros::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", crate = "queue_core")]
struct Greet;

async fn greet(_: Greet) -> HandlerResult {
    Ok(())
}

fn worker(jobs: &JobQueue) -> Worker {
    Worker::new(jobs).handle_blocking(greet)
}

fn main() {}
