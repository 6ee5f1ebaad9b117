//! Runs a program that ends with this process, even after SIGKILL.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};

use crate::folder::Folder;

const KEEPER: &str = include_str!("sh/keeper.sh");

/// Interval between two checks of the program, because no event signals a change.
const PAUSE: Duration = Duration::from_millis(5);

/// Maximum time that a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program. Dropping this ends the program and waits for its end.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
    output: PathBuf,
}

impl Keeper {
    /// Starts a program in a folder, which also gets its output and exists while the program runs.
    /// `ending` is the signal that ends the program at once.
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

    /// Waits until the program is `ready`. Fails if the program ends before. `None` if it ended
    /// because another process listens on its port.
    pub(crate) fn listening(mut self, ready: impl Fn() -> bool) -> Result<Option<Self>> {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                let text = self.end_of_output();
                if text.contains("Address already in use") {
                    return Ok(None);
                }
                bail!("it ended with {status}: {text}");
            }
            if Instant::now() > deadline {
                bail!("it was not ready after {} s: {}", PATIENCE.as_secs(), self.end_of_output());
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
                bail!("it still ran after {} s: {}", PATIENCE.as_secs(), self.end_of_output());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Sends a signal to the program, by the name that `kill -s` takes.
    pub(crate) fn send(&mut self, signal: &str) -> Result<()> {
        let pipe = self.child.stdin.as_mut().context("its end was requested before")?;
        writeln!(pipe, "{signal}").context("it has already ended")
    }

    /// The whole output.
    fn output_text(&self) -> String {
        fs::read(&self.output).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The end of the output in one line, for an error.
    fn end_of_output(&self) -> String {
        let text = self.output_text();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(6)..].join(" | ")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

/// Runs a program to its end in a folder. Fails if the program fails.
pub(crate) fn run(folder: &Folder, program: &Command) -> Result<()> {
    let name = Path::new(program.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let mut keeper = Keeper::start(folder, "TERM", &format!("{name}.log"), program)?;
    let status = keeper.wait().with_context(|| format!("failed to run {name}"))?;
    if !status.success() {
        bail!("{name} failed with {status}: {}", keeper.end_of_output());
    }
    Ok(())
}
