//! Three ways to write a task: a payload type with a function, a value that is registered, and a
//! handler of plain JSON. Shows how to read a result.
//!
//! ```sh
//! cargo run --release --example typed_tasks
//! ```

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use queue::{EnqueuerExt, HandlerResult, JobContext, Payload, Queue, ResultTask, Task, TaskOptions, Worker};
use serde::{Deserialize, Serialize};

/// A payload type with its kind and options. A program that only enqueues needs no more.
#[derive(Debug, Serialize, Deserialize, Task)]
#[task(kind = "greet", max_retries = 3, timeout = "20s")]
struct Greet {
    name: String,
}

async fn greet(job: Greet) -> HandlerResult {
    println!("greet: hello {}", job.name);
    Ok(())
}

/// The handler of a task that is a value. What it returns is stored when the job completes.
async fn count_words(_: JobContext, text: String) -> HandlerResult<usize> {
    Ok(text.split_whitespace().count())
}

/// A handler of any JSON, for kinds that are known only when the program runs.
async fn show(context: JobContext, payload: Payload) -> HandlerResult {
    println!("{}: {}", context.kind(), payload.as_str());
    Ok(())
}

async fn run() -> queue_examples::Result {
    let mut jobs = queue::connect("sqlite::memory:").await?;
    let words = ResultTask::from_fn("count-words", count_words).register(&mut jobs)?;
    jobs.handle("show", Arc::new(show), TaskOptions::new())?;
    let worker = Worker::new(&jobs).handle(greet).start()?;

    jobs.enqueue(Greet { name: "Ada".to_owned() }).priority(5).await?;
    jobs.enqueue_value("show", &["any", "JSON"]).await?;
    let texts = ["to be or not to be".to_owned(), "so be it".to_owned()];
    for (text, id) in texts.iter().zip(words.enqueue_batch(&texts).await?) {
        println!("count-words: {} in {text:?}", jobs.result::<usize>(id).await?);
    }
    worker.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    queue_examples::exit_code(run().await)
}
