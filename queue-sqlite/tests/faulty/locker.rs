//! Another process that takes the write lock: this program, started again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{sleep, spawn};
use std::time::Duration;

use async_trait::async_trait;
use queue_testkit::conformance::{Injected, SetupResult};
use tokio::task::spawn_blocking;

use super::connect;

const FILE: &str = "QUEUE_SQLITE_TEST_LOCKED_FILE";
const MODE: &str = "QUEUE_SQLITE_TEST_LOCK_MANNER";

/// How long a contender holds the lock, and the pause before it takes the lock again.
const HELD: Duration = Duration::from_millis(4);
const PAUSE: Duration = Duration::from_millis(2);

/// How the process takes the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockMode {
    /// Once, until the process ends.
    Holds,
    /// Repeatedly and briefly, with a commit each time.
    Contends,
}

/// The locking process. It ends when this is dropped.
pub(super) struct Locker(Child);

impl Locker {
    /// Starts the process and waits until it has the lock.
    pub(super) fn start(path: &Path, mode: LockMode) -> SetupResult<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(FILE, path).env(MODE, format!("{mode:?}"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut locker = Self(child);
        let mut line = String::new();
        let output = locker.0.stdout.take().ok_or("the locking process has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        if line.trim() == "locked" { Ok(locker) } else { Err("the locking process found no lock".into()) }
    }
}

impl Drop for Locker {
    fn drop(&mut self) {
        // The process ends with its input; it may have ended before.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[async_trait]
impl Injected for Locker {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        Ok(spawn_blocking(move || drop(self)).await?)
    }
}

/// Runs the locking process, if this is it.
pub(crate) fn serve_as_locker() -> Option<ExitCode> {
    let file = std::env::var_os(FILE)?;
    let contends = std::env::var(MODE).is_ok_and(|mode| mode == format!("{:?}", LockMode::Contends));
    let mode = if contends { LockMode::Contends } else { LockMode::Holds };
    Some(match lock(Path::new(&file), mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn lock(path: &Path, mode: LockMode) -> SetupResult<()> {
    let connection = connect(path)?;
    let ended = end_of_input();
    connection.execute_batch("CREATE TABLE IF NOT EXISTS contended (turns INTEGER)")?;
    connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO contended VALUES (1)")?;
    writeln!(std::io::stdout(), "locked")?;
    if mode == LockMode::Holds {
        // The result is the same if the parent closes the input or ends.
        let _ = ended.recv();
        return Ok(connection.execute_batch("ROLLBACK")?);
    }
    loop {
        sleep(HELD);
        connection.execute_batch("COMMIT")?;
        if !matches!(ended.recv_timeout(PAUSE), Err(RecvTimeoutError::Timeout)) {
            return Ok(());
        }
        connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO contended VALUES (1)")?;
    }
}

fn end_of_input() -> Receiver<()> {
    let (sender, receiver) = channel();
    spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    receiver
}
