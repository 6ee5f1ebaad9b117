//! Starts a test program again as a child process, to kill or stop it at a named point.
//!
//! The program first checks whether it is such a child. A child runs the role that it was started
//! for. It writes a line before and after each step, and names the points at which its parent may
//! halt it:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use queue_testkit::child::{Orders, Parent};
//!
//! # async fn enqueue() {}
//! fn main() -> ExitCode {
//!     let runtime = tokio::runtime::Runtime::new().unwrap();
//!     if let Some(parent) = Parent::find() {
//!         runtime.block_on(async {
//!             parent.reach("before enqueue").await;
//!             enqueue().await;
//!             parent.say("acknowledged");
//!             parent.reach("acknowledged").await;
//!         });
//!         return ExitCode::SUCCESS;
//!     }
//!     runtime.block_on(async {
//!         let mut child = Orders::new("enqueuer").halt_at("acknowledged", 1).start().unwrap();
//!         child.halted("acknowledged").await.unwrap();
//!         let record = child.kill().await.unwrap();
//!         assert!(record.lines().iter().any(|line| line.text == "acknowledged"));
//!         // Now check that the job is stored.
//!     });
//!     ExitCode::SUCCESS
//! }
//! ```
//!
//! Such a program is a test target with `harness = false`. `conformance::main` looks for a parent
//! by itself. A program with other children of its own checks [`role`] first.
//!
//! Parent and child exchange lines over the child's standard input and output. A [`Record`] also
//! keeps all other output of the child. A child exits as soon as its parent is gone.
//! [`Child::stop`] requires Unix.

mod line;
mod parent;
mod signal;

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::process::{Child as Process, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use line::Sink;
pub use line::{Line, Record, moment};
pub use parent::{Parent, role};

/// The environment variables that carry the [`Orders`] of a child.
const ROLE: &str = "QUEUE_TEST_CHILD_ROLE";
const TEXT: &str = "QUEUE_TEST_CHILD_ORDER";
const HALT: &str = "QUEUE_TEST_CHILD_HALT";

/// Maximum wait for a child. Long, because only a failing test waits for all of it.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The role of a child and the point at which it halts.
#[derive(Debug, Clone)]
#[must_use]
pub struct Orders {
    role: String,
    name: String,
    text: String,
    arguments: Vec<String>,
    halt: Option<(String, u32)>,
}

impl Orders {
    /// Creates the orders for a child with this role.
    pub fn new(role: impl Into<String>) -> Self {
        let role = role.into();
        Self { name: role.clone(), role, text: String::new(), arguments: Vec::new(), halt: None }
    }

    /// Sets the name that records show (default: the role).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the text that the child reads with [`Parent::text`] (default: empty).
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Sets the arguments of the program (default: none). Under the standard test harness, pass the
    /// name of one test.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Halts the child the `nth` time (1, 2, …) that it reaches this point, until [`Child::go_on`]
    /// (default: it never halts).
    pub fn halt_at(mut self, point: impl Into<String>, nth: u32) -> Self {
        self.halt = Some((point.into(), nth));
        self
    }

    /// Starts the current executable as a child.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start(self) -> io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.arguments).env(ROLE, &self.role).env(TEXT, &self.text).env_remove(HALT);
        if let Some((point, nth)) = &self.halt {
            command.env(HALT, format!("{nth} {point}"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        let name = format!("{}, process {}", self.name, process.id());
        let (added, lines_added) = watch::channel(());
        let sink = Sink::new(name, added);
        let record = sink.record();
        let output = (process.stdout.take(), process.stderr.take());
        let child = Child { input: process.stdin.take(), process, record, lines_added, read: 0 };
        if let Some(output) = output.0 {
            read_lines(output, sink.clone(), Sink::output)?;
        }
        if let Some(errors) = output.1 {
            read_lines(errors, sink, Sink::error)?;
        }
        Ok(child)
    }
}

/// Reads a child's lines on a separate thread until the child has ended.
fn read_lines(stream: impl Read + Send + 'static, sink: Sink, add: fn(&Sink, &str)) -> io::Result<()> {
    let reading = move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            add(&sink, &String::from_utf8_lossy(&line));
        }
    };
    std::thread::Builder::new().name("queue-child".into()).spawn(reading).map(drop)
}

/// A child process. Dropping it kills the process.
#[derive(Debug)]
#[must_use = "a child that is dropped is killed"]
pub struct Child {
    process: Process,
    input: Option<ChildStdin>,
    record: Record,
    lines_added: watch::Receiver<()>,
    read: usize,
}

impl Child {
    /// Returns the lines of the child. The record grows while the child runs.
    #[must_use]
    pub fn record(&self) -> Record {
        self.record.clone()
    }

    /// Returns the process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the next line; `None` if the child has ended.
    ///
    /// # Errors
    /// If the child writes no line for 30 seconds.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        let next = async {
            loop {
                if let Some(line) = self.record.line(self.read) {
                    self.read += 1;
                    return Some(line);
                }
                if self.lines_added.changed().await.is_err() && self.record.line(self.read).is_none() {
                    return None;
                }
            }
        };
        match timeout(MAX_WAIT, next).await {
            Ok(line) => Ok(line),
            Err(_) => Err(self.error(&format!("wrote no line within {MAX_WAIT:?}"))),
        }
    }

    /// Reads lines up to the first that is `wanted`, and returns it.
    ///
    /// # Errors
    /// If the child ends first, or writes no such line within 30 seconds.
    ///
    /// # Cancellation
    /// Lines that a dropped future has read are not returned again.
    pub async fn until(&mut self, wanted: impl Fn(&str) -> bool) -> io::Result<Line> {
        let found = timeout(MAX_WAIT, async {
            while let Some(line) = self.next().await? {
                if wanted(&line.text) {
                    return Ok(Some(line));
                }
            }
            io::Result::Ok(None)
        });
        match found.await {
            Ok(line) => line?.ok_or_else(|| self.error("ended without the expected line")),
            Err(_) => Err(self.error(&format!("did not write the expected line within {MAX_WAIT:?}"))),
        }
    }

    /// Waits until the child halts at this point.
    ///
    /// # Errors
    /// If the child ends first, or does not reach the point within 30 seconds.
    pub async fn halted(&mut self, point: &str) -> io::Result<Line> {
        let words = parent::halts_at(point);
        self.until(|text| text == words).await
    }

    /// Lets a halted child continue.
    ///
    /// # Errors
    /// If the child has ended.
    pub fn go_on(&mut self) -> io::Result<()> {
        self.tell(parent::GO_ON)
    }

    /// Sends a line to the child, where [`Parent::hear`] returns it.
    ///
    /// # Errors
    /// If the child has ended.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        let input = self.input.as_mut().ok_or_else(|| io::Error::other("the child has no input"))?;
        input.write_all(format!("{line}\n").as_bytes())
    }

    /// Kills the child with SIGKILL, waits for its end and returns all its lines.
    ///
    /// # Errors
    /// If the child cannot be killed. Also if it had already ended by itself, because then it was
    /// not at the point that the test expects.
    pub async fn kill(mut self) -> io::Result<Record> {
        if let Some(status) = self.process.try_wait()? {
            return Err(self.error(&format!("had ended by itself with {status}")));
        }
        self.process.kill()?;
        self.process.wait()?;
        self.read_to_end().await?;
        Ok(self.record())
    }

    /// Waits until the child ends by itself.
    ///
    /// # Errors
    /// If the child writes no line for 30 seconds.
    pub async fn ended(mut self) -> io::Result<(ExitStatus, Record)> {
        self.read_to_end().await?;
        Ok((self.process.wait()?, self.record()))
    }

    async fn read_to_end(&mut self) -> io::Result<()> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// Stops the child with SIGSTOP and waits until it is stopped.
    ///
    /// # Errors
    /// If the child has ended, or the system is not Unix.
    pub async fn stop(&self) -> io::Result<()> {
        timeout(MAX_WAIT, signal::stop(&self.process))
            .await
            .unwrap_or_else(|_| Err(self.error("was sent SIGSTOP but did not stop")))
    }

    /// Continues the child with SIGCONT after [`stop`](Self::stop).
    ///
    /// # Errors
    /// If the child has ended, or the system is not Unix.
    pub fn resume(&self) -> io::Result<()> {
        signal::resume(&self.process)
    }

    fn error(&self, what: &str) -> io::Error {
        io::Error::other(format!("the child {what}\n{}", self.record))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Errors are ignored, because the process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
