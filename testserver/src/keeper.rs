//! A program that cannot outlive the process that runs it, even if that one is killed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};

use crate::folder::Folder;

const KEEPER: &str = include_str!("sh/keeper.sh");

/// How often to look whether something has happened; there is nothing that would wake us.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest time that a server may take to start, or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// The keeper of a running program; dropped, it ends the program and waits for that.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
    output: PathBuf,
}

impl Keeper {
    /// Starts a program in a folder, which its output goes to, and which stays as long as it runs.
    /// `ending` is the signal by which the program ends at once.
    pub(crate) fn start(folder: &Folder, ending: &str, output: &str, program: &Command) -> Result<Self> {
        let output = folder.path().join(output);
        let mut shell = folder.shell(KEEPER)?;
        shell.arg(ending).arg(&output).arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Ok(Self { child: child.context("failed to start the shell that runs a program")?, output })
    }

    /// Waits until the program is `ready`, which fails if it ends before; `None` if it ended because somebody
    /// else listens on its port.
    pub(crate) fn listening(mut self, ready: impl Fn() -> bool) -> Result<Option<Self>> {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                let said = self.last_words();
                if said.contains("Address already in use") {
                    return Ok(None);
                }
                bail!("it ended with {status}: {said}");
            }
            if Instant::now() > deadline {
                bail!("it was not ready after {} s: {}", PATIENCE.as_secs(), self.last_words());
            }
            thread::sleep(PAUSE);
        }
        Ok(Some(self))
    }

    /// Waits until the program has ended.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("it still ran after {} s: {}", PATIENCE.as_secs(), self.last_words());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Sends a signal to the program, by the name that `kill -s` takes.
    pub(crate) fn send(&mut self, signal: &str) -> Result<()> {
        let pipe = self.child.stdin.as_mut().context("it has been told to end")?;
        writeln!(pipe, "{signal}").context("it has already ended")
    }

    /// All that the programs with this output have written.
    fn said(&self) -> String {
        fs::read(&self.output).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The end of that in one line, for an error.
    fn last_words(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(6)..].join(" | ")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

/// Runs a program to its end in a folder, and fails if it does.
pub(crate) fn run(folder: &Folder, program: &Command) -> Result<()> {
    let name = Path::new(program.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let mut keeper = Keeper::start(folder, "TERM", &format!("{name}.log"), program)?;
    let status = keeper.wait().with_context(|| format!("failed to run {name}"))?;
    if !status.success() {
        bail!("{name} failed with {status}: {}", keeper.last_words());
    }
    Ok(())
}
