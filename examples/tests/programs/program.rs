//! Runs an example as a user does.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longer than any example takes on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running example, which is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    notes: Receiver<String>,
    output: Option<JoinHandle<String>>,
}

impl Program {
    pub(crate) fn start(example: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(path(example)), arguments)
    }

    /// Starts an example with this folder for its temporary files.
    pub(crate) fn start_in(temporary: &Path, example: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(path(example));
        command.env("TMPDIR", temporary).env("TMP", temporary);
        Self::spawn(command, arguments)
    }

    fn spawn(mut command: Command, arguments: &[&str]) -> Self {
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (send, notes) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            let _ = lines.map(|line| send.send(line)).take_while(Result::is_ok).count();
        });
        Self { child, notes, output: Some(thread::spawn(move || read(stdout))) }
    }

    /// Waits for a matching line on standard error.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) {
        let mut before = String::new();
        let until = Instant::now() + PATIENCE;
        loop {
            match self.notes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => return,
                Ok(line) => before = before + &line + "\n",
                Err(error) => panic!("no matching line ({error}); output:\n{before}"),
            }
        }
    }

    /// Kills the program, by SIGKILL on Unix.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its standard output and standard error, after success.
    #[track_caller]
    pub(crate) fn finish(self) -> (String, String) {
        let (code, output, notes) = self.end();
        assert_eq!(code, 0, "{output}{notes}");
        (output, notes)
    }

    /// Its exit code and standard error, after a failure.
    #[track_caller]
    pub(crate) fn fail(self) -> (i32, String) {
        let (code, _, notes) = self.end();
        (code, notes)
    }

    #[track_caller]
    fn end(mut self) -> (i32, String, String) {
        let until = Instant::now() + PATIENCE;
        let mut notes = String::new();
        loop {
            match self.notes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => notes = notes + &line + "\n",
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the program does not end; output:\n{notes}"),
            }
        }
        let status = self.child.wait().unwrap();
        let output = self.output.take().unwrap().join().unwrap();
        (status.code().unwrap_or(-1), output, notes)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut stdout: ChildStdout) -> String {
    let mut output = String::new();
    let _ = stdout.read_to_string(&mut output);
    output
}

/// Examples are built beside the tests: `deps/hash_folder-…` and `examples/hash_folder`.
fn path(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples");
    let path = folder.join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is not there: `cargo test --package queue-examples` builds it",
        path.display()
    );
    path
}
