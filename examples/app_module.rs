//! A module of an application that has its own jobs, and state that the whole application shares.
//!
//! ```sh
//! cargo run --release --example app_module
//! ```

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::process::ExitCode;
use std::time::Duration;

use queue::{HasJobs, Worker};
use queue_examples::Result;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// State that the application shares with its handlers: here a channel to the post office.
#[derive(Debug)]
struct PostOffice(UnboundedSender<String>);

/// A module of the application. No other module depends on its jobs.
mod mailing {
    use queue::{HandlerResult, HasJobs, JobQueue, Queue, Result, State, Task};
    use serde::{Deserialize, Serialize};

    use super::PostOffice;

    #[derive(Debug, Serialize, Deserialize, Task)]
    #[task(kind = "send-letter")]
    struct SendLetter {
        name: String,
    }

    async fn send_letter(letter: SendLetter, office: State<PostOffice>) -> HandlerResult {
        Ok(office.0.send(format!("a letter to {}", letter.name))?)
    }

    #[derive(Debug)]
    pub(crate) struct Mailing;

    impl HasJobs for Mailing {
        fn register_jobs(&self, queue: &mut dyn Queue) -> Result<()> {
            queue.register(send_letter)?;
            Ok(())
        }
    }

    impl Mailing {
        pub(crate) async fn welcome(&self, jobs: &JobQueue, name: &str) -> Result<()> {
            jobs.enqueue(SendLetter { name: name.to_owned() }).await?;
            Ok(())
        }
    }
}

async fn run() -> Result {
    let mailing = mailing::Mailing;
    let modules: [&dyn HasJobs; 1] = [&mailing];
    let mut jobs = queue::connect("sqlite::memory:").await?;
    for module in modules {
        module.register_jobs(&mut jobs)?;
    }

    if let Err(error) = Worker::new(&jobs).start() {
        println!("without a post office: {error}");
    }
    let (office, mut letters) = unbounded_channel();
    let worker = Worker::new(&jobs).state(PostOffice(office)).start()?;
    for name in ["Ada", "Grace"] {
        mailing.welcome(&jobs, name).await?;
        println!("with one: {}", letters.recv().await.ok_or("the post office closed")?);
    }
    worker.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    queue_examples::exit_code(run().await)
}
