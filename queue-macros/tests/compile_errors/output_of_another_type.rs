//! A handler returns another type than the task says.

use queue_core::{HandlerResult, JobQueue, Worker};
use queue_macros::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "measure", output = usize, crate = "queue_core")]
struct Measure;

async fn measure(_: Measure) -> HandlerResult<String> {
    Ok(String::new())
}

fn worker(jobs: &JobQueue) -> Worker {
    Worker::new(jobs).handle(measure)
}

fn main() {}
