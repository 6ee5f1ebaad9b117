//! The lines that a child wrote, with their times.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Marks the lines for the parent. All other lines are ordinary output of the child process.
const MARK: &str = "\u{1}";

/// Maximum number of lines that `Display` of a record shows.
const SHOWN_LINES: usize = 12;

/// Maximum number of characters of a line that `Display` of a record shows.
const SHOWN_CHARACTERS: usize = 400;

/// A line that a child wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the child wrote the line, on the clock of [`moment`].
    pub at: Duration,
    /// The line without its end.
    pub text: String,
}

impl Line {
    /// Creates a line with the present time.
    #[must_use]
    pub fn now(text: impl Into<String>) -> Self {
        Self { at: moment(), text: text.into() }
    }

    /// Encodes the line for the pipe.
    pub(super) fn to_wire(&self) -> String {
        format!("{MARK}{} {}\n", self.at.as_nanos(), self.text.replace('\n', " "))
    }

    fn from_wire(wire: &str) -> Option<Self> {
        let (nanos, text) = wire.strip_prefix(MARK)?.split_once(' ')?;
        Some(Self { at: Duration::from_nanos(nanos.parse().ok()?), text: text.to_owned() })
    }
}

/// The time of a monotonic clock that all processes of the machine share. Lines of several
/// processes can therefore be put in order.
#[must_use]
#[cfg(unix)]
pub fn moment() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.try_into().unwrap_or_default()
}

/// The time of the machine's wall clock, because no portable monotonic clock is shared by
/// processes.
#[must_use]
#[cfg(not(unix))]
pub fn moment() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// All lines of one child. `Display` shows the last ones.
#[derive(Debug, Clone)]
pub struct Record(Arc<RecordInner>);

#[derive(Debug)]
struct RecordInner {
    name: String,
    lines: Mutex<Vec<Line>>,
}

impl Record {
    /// Returns the child's name (default: its role) and process id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the child's lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.all().clone()
    }

    pub(super) fn line(&self, index: usize) -> Option<Line> {
        self.all().get(index).cloned()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Line>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.all();
        writeln!(f, "  {}, {} lines:", self.name(), lines.len())?;
        for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
            let shown: String = line.text.chars().take(SHOWN_CHARACTERS).collect();
            let cut = if shown.len() < line.text.len() { "…" } else { "" };
            writeln!(f, "    {:.6} {shown}{cut}", line.at.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Adds lines to a record and wakes the task that waits for them.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    record: Record,
    added: watch::Sender<()>,
}

impl Sink {
    pub(super) fn new(name: String, added: watch::Sender<()>) -> Self {
        Self { record: Record(Arc::new(RecordInner { name, lines: Mutex::default() })), added }
    }

    pub(super) fn record(&self) -> Record {
        self.record.clone()
    }

    /// Adds a line of standard output.
    pub(super) fn output(&self, wire: &str) {
        self.push(Line::from_wire(wire).unwrap_or_else(|| Line::now(format!("(output) {wire}"))));
    }

    /// Adds a line of standard error, for example of a panic.
    pub(super) fn error(&self, wire: &str) {
        self.push(Line::now(format!("(error) {wire}")));
    }

    fn push(&self, line: Line) {
        self.record.all().push(line);
        self.added.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_line_decodes_to_its_time_and_text() {
        let line = Line::now("it's a 4-byte 🦀 in two\nlines");
        let wire = line.to_wire();
        let read = Line::from_wire(wire.trim_end()).unwrap();
        assert_eq!((read.at, read.text.as_str()), (line.at, "it's a 4-byte 🦀 in two lines"));
        assert_eq!(Line::from_wire("running 3 tests"), None);
    }

    #[test]
    fn moment_never_goes_back() {
        let moments: Vec<Duration> = (0..1000).map(|_| moment()).collect();
        assert!(moments.is_sorted() && moments[0] > Duration::ZERO);
    }
}
