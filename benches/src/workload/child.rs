//! The worker in a process of its own: this program once more, on the same jobs.
//!
//! The child tells on its standard output which job started when, a line each, and ends when its standard input does,
//! so that it never outlives its parent.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use queue::{JobQueue, Worker};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::parcel::{Parcel, Start, task};
use super::store;
use crate::cli::BackendName;

/// The child's first line: its worker runs.
const READY: &str = "ready";
/// How long the child's last job may take.
const GRACE: Duration = Duration::from_secs(5);

/// A worker in another process, seen from its parent.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    pub(super) starts: UnboundedReceiver<Start>,
}

impl Child {
    /// Starts one where the jobs are, and waits until it serves.
    pub(super) async fn start(backend: BackendName, address: &OsStr) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["latency", "--backend", &backend.to_string(), "--worker-of"])
            .arg(address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start the second process")?;
        let output = process.stdout.take().context("the second process has no output")?;
        let mut lines = BufReader::new(output).lines();
        let first = lines.next_line().await?;
        ensure!(first.as_deref() == Some(READY), "the second process did not come up");
        let (sender, starts) = unbounded_channel();
        tokio::spawn(forward(lines, sender));
        Ok(Self { process, starts })
    }

    /// Lets it settle what it ran, and waits for its end.
    pub(super) async fn stop(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait().await?;
        ensure!(status.success(), "the second process ended with {status}");
        Ok(())
    }
}

/// Ends with the child's output; a line that cannot be read ends it early, and the parent misses the job.
async fn forward(mut lines: Lines<BufReader<ChildStdout>>, sender: UnboundedSender<Start>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let Some(start) = parse(&line) else { break };
        if sender.send(start).is_err() {
            break;
        }
    }
}

fn line((number, at): Start) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{number} {} {}", since.as_secs(), since.subsec_nanos())
}

fn parse(line: &str) -> Option<Start> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    let since = Duration::new(words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((number, UNIX_EPOCH + since))
}

/// Is the child: serves the jobs until standard input ends.
pub(crate) fn serve(backend: BackendName, address: &OsStr) -> Result<()> {
    Runtime::new()?.block_on(async {
        let mut queue = JobQueue::new(store::open(backend, Some(address)).await?);
        let starting = |_, parcel: Parcel| {
            println!("{}", line((parcel.number, SystemTime::now())));
            async { Ok(()) }
        };
        task(starting).register(&mut queue)?;
        let worker = Worker::new().serve(&queue).start()?;
        println!("{READY}");
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        worker.shutdown(GRACE).await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_start_to_the_nanosecond() {
        let start = (17, UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789));
        assert_eq!(parse(&line(start)), Some(start));
        assert_eq!(parse("17 x"), None);
    }
}
