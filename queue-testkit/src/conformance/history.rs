//! Records the operations of all processes on a storage, and checks the recording.
//!
//! A [`Recorded`](super::recorded::Recorded) backend writes two [events](event) per operation to
//! its [`Sink`]: one before the request, one after the reply. In this process the sink is the
//! history. A child writes its events to its parent, and [`History::add`] adds them after the child
//! has ended. All processes use the same clock.
//!
//! A request has no reply if its future was dropped or its process died. Such a request, and a
//! request of unknown outcome, may have been executed at any later time or never. A request with
//! another error was not executed.

mod check;
mod effect;
mod encode;
pub(crate) mod event;
mod job_history;
pub(crate) mod log;
mod lost;
mod order;
pub(crate) mod request;
mod rules;
mod sink;
mod step;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use queue_core::JobId;
use queue_core::backend::Stored;

use self::event::{Answered, Asked, Event, Failure, Found, SettleAnswer};
use self::log::Log;
pub(crate) use self::sink::Sink;
use super::check::CaseResult;
use super::promise::Promise;
use crate::child::{Line, moment};

/// The operations of all processes on a storage.
#[derive(Default)]
pub(crate) struct History(Mutex<State>);

#[derive(Default)]
struct State {
    log: Log,
    /// The time of the last event of this process.
    last: Duration,
    /// Results of reads since the last operation that may have changed a job. They are not recorded
    /// again.
    unchanged: HashMap<JobId, Option<Found>>,
    failures: HashMap<Failure, u64>,
    leases_lost: u64,
    rescues: u64,
    inserts_with_claims: u64,
}

/// The rows of a storage and the times of the request and the reply of their read.
pub(crate) struct Rows<'a> {
    pub(crate) asked: Duration,
    pub(crate) answered: Duration,
    pub(crate) stored: &'a Stored,
}

/// The sink of a handle in this process.
struct Process {
    history: Arc<History>,
    number: usize,
}

impl Sink for Process {
    fn write(&self, event: Event) {
        self.history.state().write(self.number, event);
    }
}

impl History {
    /// Adds a process to the recording and returns its sink. A handle of this process counts as a
    /// process.
    pub(crate) fn process(self: &Arc<Self>, name: impl Into<String>) -> Arc<dyn Sink> {
        let number = self.state().log.add_process(name.into());
        Arc::new(Process { history: Arc::clone(self), number })
    }

    /// Adds the events of a child after its end.
    pub(crate) fn add(&self, name: &str, lines: &[Line]) {
        self.state().log.add(name.to_owned(), lines);
    }

    /// Returns the present time, which is later than all events of this process.
    pub(crate) fn moment(&self) -> Duration {
        self.state().moment()
    }

    /// Number of requests of unknown outcome.
    pub(crate) fn unknown_outcomes(&self) -> u64 {
        self.failures_as(Failure::UnknownOutcome)
    }

    /// Number of requests with a retryable error, including those of unknown outcome.
    pub(crate) fn passing_failures(&self) -> u64 {
        self.unknown_outcomes() + self.failures_as(Failure::Retryable)
    }

    /// Number of failed requests.
    pub(crate) fn failures_in_all(&self) -> u64 {
        self.state().failures.values().sum()
    }

    fn failures_as(&self, failure: Failure) -> u64 {
        self.state().failures.get(&failure).copied().unwrap_or_default()
    }

    /// Number of settlements that returned `LeaseLost`.
    pub(crate) fn leases_lost(&self) -> u64 {
        self.state().leases_lost
    }

    /// Number of requests that rescued jobs.
    pub(crate) fn rescues(&self) -> u64 {
        self.state().rescues
    }

    /// Number of inserts with a claim.
    pub(crate) fn inserts_with_claims(&self) -> u64 {
        self.state().inserts_with_claims
    }

    /// Reads the log.
    pub(crate) fn with_log<T>(&self, read: impl FnOnce(&Log) -> T) -> T {
        read(&self.state().log)
    }

    /// Fails unless the operations on each job have an order in which each reply is right and the
    /// rows are the result. Each operation must be executed between its request and its reply. No
    /// such order exists if an acknowledged job is missing, a job was never enqueued, or two leases
    /// were live. Nor does it exist if a lease was taken from a live worker, a cancelled job
    /// started, or a failed request took effect.
    ///
    /// Also fails if a result is not that of its lease, a batch is stored in part, or a handler
    /// started without a claim.
    pub(crate) fn check(&self, rows: &Rows<'_>) -> CaseResult {
        check::check(&self.state().log, rows)
    }

    /// Checks the same after a drain, and that every job has ended.
    pub(crate) fn check_drained(&self, rows: &Rows<'_>) -> CaseResult {
        self.check(rows)?;
        let left: Vec<JobId> = rows.stored.live.iter().map(|row| row.id).collect();
        ensure!(left.is_empty(), "{}: these jobs have not ended: {left:?}", Promise::NoLostAck);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Strictly later than the previous time, because the resolution of the clock may be too coarse
    /// to order two events.
    fn moment(&mut self) -> Duration {
        self.last = moment().max(self.last + Duration::from_nanos(1));
        self.last
    }

    fn write(&mut self, process: usize, mut event: Event) {
        match &mut event {
            Event::Asked(_, Asked::Insert { claim, .. }) => {
                self.inserts_with_claims += u64::from(claim.is_some());
                self.unchanged.clear();
            }
            Event::Answered(_, answered) => self.process_reply(answered),
            Event::Asked(
                _,
                Asked::Read | Asked::Other | Asked::Register { .. } | Asked::Heartbeat { .. },
            )
            | Event::Started { .. } => {}
            Event::Asked(..) => self.unchanged.clear(),
        }
        let at = self.moment();
        self.log.write(process, at, event);
    }

    /// Counts the replies that cases wait for. Removes unchanged jobs from the reply of a read,
    /// because cases read in a loop.
    fn process_reply(&mut self, answered: &mut Answered) {
        match answered {
            Answered::Read(jobs) => {
                jobs.retain(|(job, found)| self.unchanged.insert(*job, *found) != Some(*found));
                return;
            }
            Answered::Done => return,
            Answered::Failed(failure) => self.count(*failure),
            Answered::Inserted { batches, .. } => {
                batches.iter().filter_map(|batch| batch.as_ref().err()).for_each(|&error| self.count(error));
            }
            Answered::Settled(answers) => {
                let is_lost =
                    |answer: &&Result<SettleAnswer, Failure>| **answer == Ok(SettleAnswer::LeaseLost);
                self.leases_lost += answers.iter().filter(is_lost).count() as u64;
                answers.iter().filter_map(|answer| answer.err()).for_each(|error| self.count(error));
            }
            Answered::Maintained { rescued, .. } => self.rescues += u64::from(*rescued > 0),
            Answered::Claimed(_) | Answered::Cancelled(_) | Answered::Retried(_) => {}
        }
        self.unchanged.clear();
    }

    fn count(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "History({} operations, failures {:?})", state.log.operations.len(), state.failures)
    }
}
