//! A request to enqueue is dropped.

#![deny(unused_must_use)]

use queue_core::JobQueue;
use queue_macros::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", crate = "queue_core")]
struct Greet;

async fn enqueue(jobs: &JobQueue) {
    jobs.enqueue(Greet).priority(5);
}

fn main() {}
