//! Starts a test program again as a child process, to kill or stop it at a named point.
//!
//! The program first asks whether it is such a child. A child runs the part that it was started
//! for. It reports by lines what it is about to do and what it learned, and names the points at
//! which its parent may halt it:
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
//!         // Now look whether the job is there.
//!     });
//!     ExitCode::SUCCESS
//! }
//! ```
//!
//! Such a program is a test target with `harness = false`. `conformance::main` looks for a parent by
//! itself; a program with other children of its own asks for [`role`] first.
//!
//! Parent and child talk by the child's input and output. Other lines that the child prints are kept
//! too, but have no meaning. A child whose parent is gone ends at once. [`Child::stop`] needs Unix.

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

/// The variables by which a child gets its orders.
const ROLE: &str = "QUEUE_TEST_CHILD_ROLE";
const TEXT: &str = "QUEUE_TEST_CHILD_ORDER";
const HALT: &str = "QUEUE_TEST_CHILD_HALT";

/// How long a child may take for what it must do. Never waited for in full unless it does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a child is to do, and where it is to halt.
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
    /// For a child in this role.
    pub fn new(role: impl Into<String>) -> Self {
        let role = role.into();
        Self { name: role.clone(), role, text: String::new(), arguments: Vec::new(), halt: None }
    }

    /// For a child that is shown under this name instead of its role.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// With this text, which means what the role makes of it.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// With arguments for the program, of which it gets none unless said: under the standard harness, those
    /// that have it run one test.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Has the child halt the `nth` time (1, 2, …) that it reaches this point, until [`Child::go_on`].
    pub fn halt_at(mut self, point: impl Into<String>, nth: u32) -> Self {
        self.halt = Some((point.into(), nth));
        self
    }

    /// Starts this very program as a child.
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
        let (news, seen) = watch::channel(());
        let sink = Sink::new(name, news);
        let record = sink.record();
        let output = (process.stdout.take(), process.stderr.take());
        let child = Child { input: process.stdin.take(), process, record, news: seen, read: 0 };
        if let Some(output) = output.0 {
            listen(output, sink.clone(), Sink::output)?;
        }
        if let Some(errors) = output.1 {
            listen(errors, sink, Sink::error)?;
        }
        Ok(child)
    }
}

/// Takes a child's lines in, on a thread of its own, until the child has ended.
fn listen(stream: impl Read + Send + 'static, sink: Sink, take: fn(&Sink, &str)) -> io::Result<()> {
    let listening = move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            take(&sink, &String::from_utf8_lossy(&line));
        }
    };
    std::thread::Builder::new().name("queue-child".into()).spawn(listening).map(drop)
}

/// A child process. Dropped, it is killed.
#[derive(Debug)]
pub struct Child {
    process: Process,
    input: Option<ChildStdin>,
    record: Record,
    news: watch::Receiver<()>,
    read: usize,
}

impl Child {
    /// All that it has said so far; grows while it lives.
    #[must_use]
    pub fn record(&self) -> Record {
        self.record.clone()
    }

    /// The id of the process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The next of its lines; `None` when it has ended.
    ///
    /// # Errors
    /// If it says nothing for a minute.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        let next = async {
            loop {
                if let Some(line) = self.record.line(self.read) {
                    self.read += 1;
                    return Some(line);
                }
                if self.news.changed().await.is_err() && self.record.line(self.read).is_none() {
                    return None;
                }
            }
        };
        match timeout(PATIENCE, next).await {
            Ok(line) => Ok(line),
            Err(_) => Err(self.fault(&format!("said nothing for {PATIENCE:?}"))),
        }
    }

    /// Reads its lines up to one that is `wanted`, which it gives.
    ///
    /// # Errors
    /// If it ends before, or does not say it within a minute.
    ///
    /// # Cancellation
    /// Lines that were read are not read again.
    pub async fn until(&mut self, wanted: impl Fn(&str) -> bool) -> io::Result<Line> {
        let found = timeout(PATIENCE, async {
            while let Some(line) = self.next().await? {
                if wanted(&line.text) {
                    return Ok(Some(line));
                }
            }
            io::Result::Ok(None)
        });
        match found.await {
            Ok(line) => line?.ok_or_else(|| self.fault("ended too early")),
            Err(_) => Err(self.fault(&format!("did not say what was waited for within {PATIENCE:?}"))),
        }
    }

    /// Waits until it halts at this point.
    ///
    /// # Errors
    /// If it ends before, or does not come there within a minute.
    pub async fn halted(&mut self, point: &str) -> io::Result<Line> {
        let words = parent::halts_at(point);
        self.until(|text| text == words).await
    }

    /// Has it go on from where it halts.
    ///
    /// # Errors
    /// If it is gone.
    pub fn go_on(&mut self) -> io::Result<()> {
        self.tell(parent::GO_ON)
    }

    /// Says a line to it, which [`Parent::hear`] gives it.
    ///
    /// # Errors
    /// If it is gone.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        let input = self.input.as_mut().ok_or_else(|| io::Error::other("the child has no input"))?;
        input.write_all(format!("{line}\n").as_bytes())
    }

    /// Kills it where it is, by SIGKILL, and waits until it is gone; all that it said.
    ///
    /// # Errors
    /// If it cannot be killed, or had ended by itself: then it was not found where it was expected.
    pub async fn kill(mut self) -> io::Result<Record> {
        if let Some(status) = self.process.try_wait()? {
            return Err(self.fault(&format!("had ended by itself with {status}")));
        }
        self.process.kill()?;
        self.process.wait()?;
        self.all_said().await?;
        Ok(self.record())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If it falls silent before.
    pub async fn ended(mut self) -> io::Result<(ExitStatus, Record)> {
        self.all_said().await?;
        Ok((self.process.wait()?, self.record()))
    }

    async fn all_said(&mut self) -> io::Result<()> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// Stops it, by SIGSTOP, and waits until it stands still.
    ///
    /// # Errors
    /// If it is gone, or there are no such signals.
    pub async fn stop(&self) -> io::Result<()> {
        timeout(PATIENCE, signal::stop(&self.process))
            .await
            .unwrap_or_else(|_| Err(self.fault("does not stand still")))
    }

    /// Has it continue after [`stop`](Self::stop), by SIGCONT.
    ///
    /// # Errors
    /// If it is gone, or there are no such signals.
    pub fn resume(&self) -> io::Result<()> {
        signal::resume(&self.process)
    }

    fn fault(&self, what: &str) -> io::Error {
        io::Error::other(format!("the child {what}\n{}", self.record))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended; nothing of it must stay.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
