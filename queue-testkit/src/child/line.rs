//! What a child said, and when.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Begins the lines that are for the parent; all others are somebody else's output.
const MARK: &str = "\u{1}";

/// How many lines a record shows.
const SHOWN: usize = 12;

/// Where the text of a line is cut when it is shown.
const SHOWN_CHARACTERS: usize = 400;

/// One line of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was said, as [`moment`] tells it.
    pub at: Duration,
    /// What was said.
    pub text: String,
}

impl Line {
    /// One that is said now.
    #[must_use]
    pub fn now(text: impl Into<String>) -> Self {
        Self { at: moment(), text: text.into() }
    }

    /// The form in which it goes through the pipe.
    pub(super) fn to_wire(&self) -> String {
        format!("{MARK}{} {}\n", self.at.as_nanos(), self.text.replace('\n', " "))
    }

    fn from_wire(wire: &str) -> Option<Self> {
        let (nanos, text) = wire.strip_prefix(MARK)?.split_once(' ')?;
        Some(Self { at: Duration::from_nanos(nanos.parse().ok()?), text: text.to_owned() })
    }
}

/// The time by a clock that all processes of the machine share and that never goes back, where there is one:
/// what was said by several of them can be put in order.
#[must_use]
#[cfg(unix)]
pub fn moment() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.try_into().unwrap_or_default()
}

/// The time by the machine's clock.
#[must_use]
#[cfg(not(unix))]
pub fn moment() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// All that one child said. Shown, it gives the last lines.
#[derive(Debug, Clone)]
pub struct Record(Arc<Said>);

#[derive(Debug)]
struct Said {
    name: String,
    lines: Mutex<Vec<Line>>,
}

impl Record {
    /// The child's name, or its role, and its process id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its lines so far.
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
        for line in &lines[lines.len().saturating_sub(SHOWN)..] {
            let shown: String = line.text.chars().take(SHOWN_CHARACTERS).collect();
            let cut = if shown.len() < line.text.len() { "…" } else { "" };
            writeln!(f, "    {:.6} {shown}{cut}", line.at.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Where the lines of a child arrive.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    record: Record,
    news: watch::Sender<()>,
}

impl Sink {
    pub(super) fn new(name: String, news: watch::Sender<()>) -> Self {
        Self { record: Record(Arc::new(Said { name, lines: Mutex::default() })), news }
    }

    pub(super) fn record(&self) -> Record {
        self.record.clone()
    }

    /// A line of its standard output.
    pub(super) fn output(&self, wire: &str) {
        self.push(Line::from_wire(wire).unwrap_or_else(|| Line::now(format!("(output) {wire}"))));
    }

    /// A line of its standard error, such as that of a panic.
    pub(super) fn error(&self, wire: &str) {
        self.push(Line::now(format!("(error) {wire}")));
    }

    fn push(&self, line: Line) {
        self.record.all().push(line);
        self.news.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_through_the_pipe_as_it_was_said() {
        let line = Line::now("it's a 4-byte 🦀 in two\nlines");
        let wire = line.to_wire();
        let read = Line::from_wire(wire.trim_end()).unwrap();
        assert_eq!((read.at, read.text.as_str()), (line.at, "it's a 4-byte 🦀 in two lines"));
        assert_eq!(Line::from_wire("running 3 tests"), None);
    }

    #[test]
    fn moments_never_go_back() {
        let moments: Vec<Duration> = (0..1000).map(|_| moment()).collect();
        assert!(moments.is_sorted() && moments[0] > Duration::ZERO);
    }
}
