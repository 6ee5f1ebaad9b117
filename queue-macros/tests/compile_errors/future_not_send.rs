//! A handler keeps a value that must stay on its thread.

use std::rc::Rc;

use queue_core::{HandlerResult, JobQueue, Worker};
use queue_macros::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", crate = "queue_core")]
struct Greet;

async fn greet(_: Greet) -> HandlerResult {
    let name = Rc::new("ada");
    std::future::ready(()).await;
    println!("{name}");
    Ok(())
}

fn worker(jobs: &JobQueue) -> Worker {
    Worker::new(jobs).handle(greet)
}

fn main() {}
