//! Keeps the last operations of a case for its report.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::child::Record;

/// Number of operations that are kept.
const KEPT: usize = 24;
/// Maximum length of the text of a request or a reply, in bytes.
const MOST_BYTES: usize = 1200;

/// Number of children that are kept.
const KEPT_CHILDREN: usize = 6;

/// The last requests and replies of all handles of a case, and of its children.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    begun: u64,
    kept: VecDeque<Entry>,
    children: VecDeque<Record>,
    /// The first request that the backend has not replied to in time.
    unanswered: Option<String>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    request: String,
    reply: Option<String>,
}

impl Journal {
    /// Adds a request. Returns its number for [`answered`](Self::answered).
    pub(crate) fn asked(&self, operation: &str, request: &dyn fmt::Debug) -> u64 {
        let request = format!("{operation} {}", brief(request));
        let mut entries = self.lock();
        entries.begun += 1;
        let number = entries.begun;
        entries.kept.push_back(Entry { number, request, reply: None });
        if entries.kept.len() > KEPT {
            entries.kept.pop_front();
        }
        number
    }

    pub(crate) fn answered(&self, number: u64, reply: &dyn fmt::Debug) {
        let reply = brief(reply);
        if let Some(entry) = self.lock().kept.iter_mut().find(|entry| entry.number == number) {
            entry.reply = Some(reply);
        }
    }

    /// Notes that the backend has not replied to an operation for this long, which fails the case.
    pub(crate) fn timed_out(&self, operation: &str, after: Duration) {
        let text = format!("the backend has not replied to `{operation}` for {after:?}");
        self.lock().unanswered.get_or_insert(text);
    }

    /// The first request that the backend has not replied to in time.
    pub(crate) fn unanswered(&self) -> Option<String> {
        self.lock().unanswered.clone()
    }

    /// Adds a step of the case itself, e.g. that it opens the storage again.
    pub(crate) fn note(&self, what: &str) {
        let number = self.asked(what, &format_args!(""));
        self.answered(number, &format_args!(""));
    }

    /// Adds the record of a child.
    pub(crate) fn add_child(&self, record: Record) {
        let mut entries = self.lock();
        entries.children.push_back(record);
        if entries.children.len() > KEPT_CHILDREN {
            entries.children.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line per request and one per reply, then the last lines of the children.
impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.lock();
        for entry in &entries.kept {
            writeln!(f, "  {:>3} {}", entry.number, entry.request)?;
            match entry.reply.as_deref() {
                Some("") => {}
                Some(reply) => writeln!(f, "      → {reply}")?,
                None => writeln!(f, "      → (no answer)")?,
            }
        }
        if !entries.children.is_empty() {
            writeln!(f, "\nlast lines of the children:")?;
        }
        entries.children.iter().try_for_each(|child| child.fmt(f))
    }
}

/// Formats at most the part of the debug form that is kept.
fn brief(value: &dyn fmt::Debug) -> String {
    let mut text = Bounded(String::new());
    match write!(text, "{value:?}") {
        Ok(()) => text.0,
        Err(_) => text.0 + "…",
    }
}

struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len() + part.len() > MOST_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_shows_last_operations_and_unanswered_request() {
        let journal = Journal::default();
        for index in 0..KEPT + 5 {
            let number = journal.asked("claim", &index);
            journal.answered(number, &"nothing");
        }
        journal.asked("settle", &vec![0_u64; 100_000]);
        let text = journal.to_string();
        assert!(!text.contains("claim 5\n") && text.contains("claim 6\n"), "{text}");
        assert!(text.ends_with("…\n      → (no answer)\n"), "{text}");
    }
}
