//! A handler asks for a value that the context does not have.

use queue_core::{HandlerResult, JobQueue, Worker};
use queue_macros::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", crate = "queue_core")]
struct Greet;

struct Mailer;

async fn greet(_: Greet, _: Mailer) -> HandlerResult {
    Ok(())
}

fn worker(jobs: &JobQueue) -> Worker {
    Worker::new(jobs).handle(greet)
}

fn main() {}
