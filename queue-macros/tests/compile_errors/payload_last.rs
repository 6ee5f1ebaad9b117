//! The payload is not the first parameter.

use queue_core::{HandlerResult, JobQueue, State, Worker};
use queue_macros::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", crate = "queue_core")]
struct Greet;

async fn greet(_: State<String>, _: Greet) -> HandlerResult {
    Ok(())
}

fn worker(jobs: &JobQueue) -> Worker {
    Worker::new(jobs).handle(greet)
}

fn main() {}
