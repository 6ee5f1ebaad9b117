//! A handler returns an error that is neither an error nor a text.

use queue_core::{JobQueue, Worker};
use queue_macros::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", crate = "queue_core")]
struct Greet;

async fn greet(_: Greet) -> Result<(), u32> {
    Err(7)
}

fn worker(jobs: &JobQueue) -> Worker {
    Worker::new(jobs).handle(greet)
}

fn main() {}
