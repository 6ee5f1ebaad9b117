//! One process only enqueues, and another one works, on the same SQLite file. Shows the time from
//! an enqueue to the start of its job in the other process.
//!
//! ```sh
//! cargo run --release --example enqueue_only
//! ```

#![expect(clippy::print_stdout, reason = "the worker prints the start of each job, which its parent reads")]

use std::process::{ExitCode, Stdio};
use std::time::Duration;

use queue::{HandlerResult, Task, Timestamp, Worker};
use queue_examples::Result;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// The time of its enqueue, by the system clock, which both processes share.
#[derive(Debug, Serialize, Deserialize, Task)]
#[task(kind = "ping")]
struct Ping {
    sent_micros: i64,
}

async fn ping(job: Ping) -> HandlerResult {
    println!("{:.1?} after the call", Timestamp::from_micros(job.sent_micros)?.until(Timestamp::now()));
    Ok(())
}

/// The other process: works until its input ends, which also happens when the first process ends.
async fn work(path: &str) -> Result {
    let jobs = queue::connect(path).await?;
    let worker = Worker::new(&jobs).handle(ping).start()?;
    println!("the worker runs");
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    worker.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

async fn enqueue() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("jobs.db");
    let jobs = queue::connect(&path.to_string_lossy()).await?;
    let mut worker = tokio::process::Command::new(std::env::current_exe()?)
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let answers = worker.stdout.take().ok_or("the worker has no output")?;
    let mut answers = BufReader::new(answers).lines();
    println!("{}", answers.next_line().await?.ok_or("the worker ended")?);
    for number in 1..=5 {
        // The queue becomes idle, so that each job has to wake the other process.
        tokio::time::sleep(Duration::from_millis(200)).await;
        jobs.enqueue(Ping { sent_micros: Timestamp::now().as_micros() }).await?;
        println!("job {number} started {}", answers.next_line().await?.ok_or("the worker ended")?);
    }
    drop(worker.stdin.take());
    println!("the worker ended: {}", worker.wait().await?);
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    queue_examples::exit_code(match std::env::args().nth(1) {
        Some(path) => work(&path).await,
        None => enqueue().await,
    })
}
