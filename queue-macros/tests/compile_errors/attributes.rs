//! Wrong options of a task.

use queue_core::{Enqueue, JobQueue};
use queue_macros::Task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Task)]
#[task(crate = "queue_core")]
struct NoKind;

// No further error where the type is used.
fn enqueue(jobs: &JobQueue) -> Enqueue<NoKind> {
    jobs.enqueue(NoKind)
}

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "two words", crate = "queue_core")]
struct BadKind;

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", retries = 3, concurrency = 3, crate = "queue_core")]
struct UnknownOptions;

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", timeout = "20", backoff = "1m..1s", crate = "queue_core")]
struct BadDurations;

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", backoff = "1s, 10", crate = "queue_core")]
struct BadList;

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", backoff = "1s..10s, 1m", crate = "queue_core")]
struct RangeInList;

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", backoff = 30, crate = "queue_core")]
struct BackoffOfNumber;

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", priority = 40000, max_retries = "3", crate = "queue_core")]
struct BadNumbers;

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", crate = "queue_core")]
struct Generic<T>(T);

#[derive(Serialize, Deserialize, Task)]
#[task(kind = "greet", crate = "queue_core")]
struct Borrows<'a>(&'a str);

fn main() {}
