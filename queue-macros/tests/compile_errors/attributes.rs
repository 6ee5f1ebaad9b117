//! Wrong options of a task.

use queue_macros::Task;

#[derive(Task)]
struct NoKind;

#[derive(Task)]
#[task(kind = "two words", crate = "queue_core")]
struct BadKind;

#[derive(Task)]
#[task(kind = "greet", retries = 3, cron = "30 2 * * *")]
struct UnknownOptions;

#[derive(Task)]
#[task(kind = "greet", timeout = "20", backoff = "1m..1s")]
struct BadDurations;

#[derive(Task)]
#[task(kind = "greet", priority = 40000, max_retries = "3")]
struct BadNumbers;

#[derive(Task)]
#[task(kind = "greet")]
struct Generic<T>(T);

#[derive(Task)]
#[task(kind = "greet")]
struct Borrows<'a>(&'a str);

fn main() {}
