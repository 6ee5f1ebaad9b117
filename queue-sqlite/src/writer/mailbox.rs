//! Where operations wait for the writer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use queue_core::backend::ignore_poison;

use super::command::{Command, Lane};

/// How many rows one transaction writes at most, unless a single operation has more. It bounds how
/// long a heartbeat waits behind others' work: some 20 ms.
pub(super) const TRANSACTION_ROWS: usize = 4096;

/// Operations in the order in which they came, heartbeats before all others.
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

/// What the writer wakes up for.
pub(super) enum Mail {
    /// Operations to do in one transaction.
    Commands(Vec<Box<dyn Command>>),
    /// Nothing came in the time it waits for. Chores are due, or may be.
    Nothing,
    /// Nothing is left, and nothing will come.
    Closed,
}

impl Mailbox {
    /// Adds an operation; gives it back if the mailbox is closed.
    pub(super) fn post(&self, command: Box<dyn Command>) -> Result<(), Box<dyn Command>> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(command);
        }
        match command.lane() {
            Lane::Urgent => waiting.urgent.push_back(command),
            Lane::Normal => waiting.normal.push_back(command),
        }
        self.wake(waiting);
        Ok(())
    }

    /// From now on the writer wakes up now and then to look for other processes' commits.
    pub(crate) fn watch(&self) {
        let mut waiting = self.lock();
        waiting.watched = true;
        self.wake(waiting);
    }

    /// Whether somebody watches; if `still` says no more, the writer sleeps until there is work.
    pub(super) fn is_watched(&self, still: impl FnOnce() -> bool) -> bool {
        let mut waiting = self.lock();
        // Under the lock: who begins to watch meanwhile says so after this.
        waiting.watched = waiting.watched && still();
        waiting.watched
    }

    /// Lets the writer end once it has done what waits.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.wake(waiting);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Closes, and takes what nobody will do any more.
    pub(super) fn abandon(&self) -> Vec<Box<dyn Command>> {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.take(usize::MAX)
    }

    /// Waits for operations; while somebody watches, no longer than `interval`, and never longer
    /// than `chore`, after which the writer has something to do by itself.
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

    /// Takes what waits, as far as it fits beside `rows` that are being written.
    pub(super) fn take_beside(&self, rows: usize) -> Vec<Box<dyn Command>> {
        match TRANSACTION_ROWS.checked_sub(rows) {
            Some(room) if room > 0 => self.lock().take(room),
            _ => Vec::new(),
        }
    }

    /// Takes the heartbeats that wait.
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
            // The first goes alone, however large it is.
            if next.rows() > room && !taken.is_empty() {
                break;
            }
            room = room.saturating_sub(next.rows());
            taken.extend(self.normal.pop_front());
        }
        taken
    }
}
