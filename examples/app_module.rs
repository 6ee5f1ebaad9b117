//! A module of an application that has its own jobs, and state that the whole application shares.
//!
//! ```sh
//! cargo run --release --example app_module
//! ```

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::process::ExitCode;
use std::time::Duration;

use queue::{HasJobs, JobQueue, Worker};
use queue_examples::Result;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// State that the application shares with its handlers: here a channel to the post office.
#[derive(Debug)]
struct PostOffice(UnboundedSender<String>);

/// A module of the application. No other module depends on its jobs.
mod mailing {
    use queue::{HandlerResult, HasJobs, JobContext, Queue, Result, TaskDefinition, TaskOptions};

    use super::PostOffice;

    static SEND_LETTER: TaskDefinition<String> =
        TaskDefinition::new("send-letter", |context, name| Box::pin(send_letter(context, name)))
            // Checked when a worker starts, not when the first job runs.
            .with_options_fn(|| TaskOptions::new().needs_state::<PostOffice>());

    async fn send_letter(context: JobContext, name: String) -> HandlerResult {
        let office = context.state::<PostOffice>()?;
        Ok(office.0.send(format!("a letter to {name}"))?)
    }

    #[derive(Debug)]
    pub(crate) struct Mailing;

    impl HasJobs for Mailing {
        fn register_jobs(&self, queue: &mut dyn Queue) -> Result<()> {
            SEND_LETTER.register(queue)?;
            Ok(())
        }
    }

    impl Mailing {
        pub(crate) async fn welcome(&self, name: &str) -> Result<()> {
            SEND_LETTER.enqueue(&name.to_owned()).await?;
            Ok(())
        }
    }
}

async fn run() -> Result {
    let mailing = mailing::Mailing;
    let modules: [&dyn HasJobs; 1] = [&mailing];
    let mut queue = JobQueue::new(queue::connect("sqlite::memory:").await?);
    for module in modules {
        module.register_jobs(&mut queue)?;
    }

    if let Err(error) = Worker::new().serve(&queue).start() {
        println!("without a post office: {error}");
    }
    let (office, mut letters) = unbounded_channel();
    let worker = Worker::new().serve(&queue).state(PostOffice(office)).start()?;
    for name in ["Ada", "Grace"] {
        mailing.welcome(name).await?;
        println!("with one: {}", letters.recv().await.ok_or("the post office closed")?);
    }
    worker.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    queue_examples::exit_code(run().await)
}
