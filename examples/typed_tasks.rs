//! Three ways to write a typed task, and how to read a result.
//!
//! ```sh
//! cargo run --release --example typed_tasks
//! ```

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::process::ExitCode;
use std::time::Duration;

use queue::{Backend, HandlerResult, JobContext, JobId, JobQueue, ResultTask, Task, TaskDefinition, Worker};
use serde::{Deserialize, Serialize};

/// A definition has a name, a payload type and a handler. It may be a `static`.
static GREET: TaskDefinition<String> = TaskDefinition::new("greet", |_, name| Box::pin(greet(name)));

async fn greet(name: String) -> HandlerResult {
    println!("greet: hello {name}");
    Ok(())
}

/// A definition with a result, which is stored when the job completes.
static WORDS: ResultTask<String, usize> =
    ResultTask::new("count-words", |_, text| Box::pin(count_words(text)));

async fn count_words(text: String) -> HandlerResult<usize> {
    Ok(text.split_whitespace().count())
}

/// A payload type that is itself the task.
#[derive(Debug, Serialize, Deserialize)]
struct SendInvoice {
    to: String,
}

impl Task for SendInvoice {
    const KIND: &'static str = "send-invoice";

    async fn run(self, context: JobContext) -> HandlerResult {
        println!("send-invoice: to {}, attempt {}", self.to, context.attempt());
        Ok(())
    }
}

async fn run() -> queue_examples::Result {
    let backend = queue::connect("sqlite::memory:").await?;
    let mut queue = JobQueue::new(backend.clone());
    let words = WORDS.register(&mut queue)?;
    let send_invoice = SendInvoice::register(&mut queue)?;
    GREET.register(&mut queue)?;
    let worker = Worker::new().serve(&queue).start()?;

    // Either through the handle from the registration, or through the definition.
    GREET.enqueue(&"Ada".to_owned()).await?;
    send_invoice.enqueue(&SendInvoice { to: "Grace".to_owned() }).await?;
    let texts = ["to be or not to be".to_owned(), "so be it".to_owned()];
    for (text, id) in texts.iter().zip(words.enqueue_batch(&texts).await?) {
        println!("count-words: {} in {text:?}", words.decode(&result(&*backend, id).await?)?);
    }
    worker.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Waits until the job has completed.
async fn result(backend: &dyn Backend, id: JobId) -> queue_examples::Result<Vec<u8>> {
    let jobs = backend.extensions().inspect.ok_or("this backend does not show its jobs")?;
    loop {
        match jobs.jobs(&[id]).await?.pop().flatten() {
            Some(job) if !job.state.is_finished() => tokio::time::sleep(Duration::from_millis(5)).await,
            job => return Ok(job.and_then(|job| job.result).ok_or("the job left no result")?),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    queue_examples::exit_code(run().await)
}
