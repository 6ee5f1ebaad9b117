//! Holds requests until the writer takes them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use queue_core::backend::ignore_poison;

use super::command::{Command, Urgency};

/// Maximum number of rows that one transaction writes, unless a single request has more. It limits
/// the wait of a heartbeat behind other requests to about 20 ms.
pub(super) const TRANSACTION_ROWS: usize = 4096;

/// Requests in the order of their arrival, heartbeats first.
#[derive(Default)]
pub(crate) struct Mailbox {
    state: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    urgent: VecDeque<Box<dyn Command>>,
    normal: VecDeque<Box<dyn Command>>,
    writer_sleeps: bool,
    watched: bool,
    closed: bool,
}

/// Why the writer wakes up.
pub(super) enum Mail {
    /// Requests to serve in one transaction.
    Commands(Vec<Box<dyn Command>>),
    /// No request arrived before the wait timed out. Maintenance may be due.
    Nothing,
    /// The mailbox is closed and empty.
    Closed,
}

impl Mailbox {
    /// Adds a request; returns it if the mailbox is closed.
    pub(super) fn post(&self, command: Box<dyn Command>) -> Result<(), Box<dyn Command>> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(command);
        }
        match command.urgency() {
            Urgency::Urgent => waiting.urgent.push_back(command),
            Urgency::Normal => waiting.normal.push_back(command),
        }
        self.wake(waiting);
        Ok(())
    }

    /// Makes the writer wake up at intervals to check for commits of other processes.
    pub(crate) fn watch(&self) {
        let mut waiting = self.lock();
        waiting.watched = true;
        self.wake(waiting);
    }

    /// Whether the writer must check for commits of other processes. If `still` returns false, the
    /// writer sleeps until the next request.
    pub(super) fn is_watched(&self, still: impl FnOnce() -> bool) -> bool {
        let mut waiting = self.lock();
        // Under the lock, so that a later `watch` is not overwritten.
        waiting.watched = waiting.watched && still();
        waiting.watched
    }

    /// Makes the writer end after it has served the waiting requests.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.wake(waiting);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Closes the mailbox and takes the requests that will not be served.
    pub(super) fn abandon(&self) -> Vec<Box<dyn Command>> {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.take(usize::MAX)
    }

    /// Waits for requests. Waits at most `interval` while the writer is watching, and at most
    /// `chore`, when maintenance is due.
    pub(super) fn wait(&self, interval: Duration, chore: Option<Duration>) -> Mail {
        let mut waiting = self.lock();
        let mut waited = false;
        loop {
            let commands = waiting.take(TRANSACTION_ROWS);
            if !commands.is_empty() {
                return Mail::Commands(commands);
            }
            if waiting.closed {
                return Mail::Closed;
            }
            let longest = chore.into_iter().chain(waiting.watched.then_some(interval)).min();
            if waited && longest.is_some() {
                return Mail::Nothing;
            }
            waiting.writer_sleeps = true;
            waiting = if let Some(longest) = longest {
                let (waiting, _) = ignore_poison(self.arrived.wait_timeout(waiting, longest));
                waiting
            } else {
                ignore_poison(self.arrived.wait(waiting))
            };
            waiting.writer_sleeps = false;
            waited = true;
        }
    }

    /// Takes waiting requests that fit into a transaction of already `rows` rows.
    pub(super) fn take_beside(&self, rows: usize) -> Vec<Box<dyn Command>> {
        match TRANSACTION_ROWS.checked_sub(rows) {
            Some(room) if room > 0 => self.lock().take(room),
            _ => Vec::new(),
        }
    }

    pub(super) fn take_urgent(&self) -> Vec<Box<dyn Command>> {
        self.lock().urgent.drain(..).collect()
    }

    fn wake(&self, waiting: MutexGuard<'_, Waiting>) {
        let sleeps = waiting.writer_sleeps;
        drop(waiting);
        if sleeps {
            self.arrived.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        ignore_poison(self.state.lock())
    }
}

impl Waiting {
    fn take(&mut self, rows: usize) -> Vec<Box<dyn Command>> {
        let mut taken = Vec::with_capacity(self.urgent.len() + self.normal.len());
        let mut room = rows;
        taken.extend(self.urgent.drain(..));
        while let Some(next) = self.normal.front() {
            // A request larger than the limit is taken alone.
            if next.rows() > room && !taken.is_empty() {
                break;
            }
            room = room.saturating_sub(next.rows());
            taken.extend(self.normal.pop_front());
        }
        taken
    }
}
