//! Runs a worker in a second process of this program, on the same jobs.
//!
//! The child prints one line per started job with the time of the start. It ends when its standard
//! input ends, so that it never outlives its parent.

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

/// The first line of the child: its worker runs.
const READY: &str = "ready";
/// Maximum time for the last job of the child.
const GRACE: Duration = Duration::from_secs(5);

/// The child as its parent sees it.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    pub(super) starts: UnboundedReceiver<Start>,
}

impl Child {
    /// Starts a child on the jobs at `address` and waits until its worker runs.
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
        ensure!(first.as_deref() == Some(READY), "the second process did not start its worker");
        let (sender, starts) = unbounded_channel();
        tokio::spawn(forward(lines, sender));
        Ok(Self { process, starts })
    }

    /// Waits until the child has settled its jobs and ended.
    pub(super) async fn stop(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait().await?;
        ensure!(status.success(), "the second process ended with {status}");
        Ok(())
    }
}

/// Forwards the lines of the child until its output ends. An invalid line ends this early, and the
/// parent then misses the job.
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

/// Runs as the child: serves the jobs until standard input ends.
pub(crate) fn serve(backend: BackendName, address: &OsStr) -> Result<()> {
    Runtime::new()?.block_on(async {
        let mut queue = JobQueue::new(store::open(backend, Some(address)).await?);
        let starting = |_, parcel: Parcel| {
            println!("{}", line((parcel.number, SystemTime::now())));
            async { Ok(()) }
        };
        task(starting).register(&mut queue)?;
        let worker = Worker::new(&queue).start()?;
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
    fn line_has_the_start_in_nanoseconds() {
        let start = (17, UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789));
        assert_eq!(parse(&line(start)), Some(start));
        assert_eq!(parse("17 x"), None);
    }
}
