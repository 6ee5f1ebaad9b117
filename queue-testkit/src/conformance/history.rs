//! One recording of the operations on a storage by all processes, and the check of it.
//!
//! A [`Recorded`](super::recorded::Recorded) backend writes two [events](event) per operation to
//! its [`Sink`]: one before the request, one after the answer. In this process the sink is the
//! history. A child writes its events to its parent, and [`History::add`] takes them once the child
//! has ended. The moments of all processes are by one clock.
//!
//! A request without an answer, because its future was dropped or its process died, may have been
//! done at any moment since, or never, and so may one of unknown outcome. A request that failed
//! otherwise has not been done.

mod check;
mod effect;
mod encode;
pub(crate) mod event;
mod life;
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

/// All operations on a storage.
#[derive(Default)]
pub(crate) struct History(Mutex<State>);

#[derive(Default)]
struct State {
    log: Log,
    /// The moment of the last event of this process.
    last: Duration,
    /// Results of reads since the last operation that may have changed a job.
    unchanged: HashMap<JobId, Option<Found>>,
    failures: HashMap<Failure, u64>,
    leases_lost: u64,
    rescues: u64,
    inserts_with_claims: u64,
}

/// The rows of a storage, and when they were read.
pub(crate) struct Rows<'a> {
    pub(crate) asked: Duration,
    pub(crate) answered: Duration,
    pub(crate) stored: &'a Stored,
}

/// The sink for one handle of this process.
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
    /// The sink for a further process that shares this one's memory, such as another handle.
    pub(crate) fn process(self: &Arc<Self>, name: impl Into<String>) -> Arc<dyn Sink> {
        let number = self.state().log.add_process(name.into());
        Arc::new(Process { history: Arc::clone(self), number })
    }

    /// Adds the events of a child that has ended.
    pub(crate) fn add(&self, name: &str, lines: &[Line]) {
        self.state().log.add(name.to_owned(), lines);
    }

    /// A new moment, later than all events of this process.
    pub(crate) fn moment(&self) -> Duration {
        self.state().moment()
    }

    /// How many requests had an unknown outcome.
    pub(crate) fn unknown_outcomes(&self) -> u64 {
        self.failures_as(Failure::UnknownOutcome)
    }

    /// How many requests failed for a reason that passes.
    pub(crate) fn passing_failures(&self) -> u64 {
        self.unknown_outcomes() + self.failures_as(Failure::Passing)
    }

    /// How many requests failed.
    pub(crate) fn failures_in_all(&self) -> u64 {
        self.state().failures.values().sum()
    }

    fn failures_as(&self, failure: Failure) -> u64 {
        self.state().failures.get(&failure).copied().unwrap_or_default()
    }

    /// How many settlements were answered that the lease was lost.
    pub(crate) fn leases_lost(&self) -> u64 {
        self.state().leases_lost
    }

    /// How many requests took leases back.
    pub(crate) fn rescues(&self) -> u64 {
        self.state().rescues
    }

    /// How many inserts had a claim with them.
    pub(crate) fn inserts_with_claims(&self) -> u64 {
        self.state().inserts_with_claims
    }

    /// Reads the log.
    pub(crate) fn with_log<T>(&self, read: impl FnOnce(&Log) -> T) -> T {
        read(&self.state().log)
    }

    /// Fails unless the operations on each job can be put in one order in which each answer is
    /// right, none is before its request or after its answer, and the rows are the result. No such
    /// order exists if an acknowledged job is gone, a job was never enqueued, two leases were live,
    /// a lease was taken from a worker that had not expired, a cancelled job starts, or a request
    /// took effect although it failed.
    ///
    /// Fails as well if a result is not that of its lease, a batch is stored in part, or a handler
    /// started without a claim.
    pub(crate) fn check(&self, rows: &Rows<'_>) -> CaseResult {
        check::check(&self.state().log, rows)
    }

    /// The same after a drain: every job has ended as well.
    pub(crate) fn check_drained(&self, rows: &Rows<'_>) -> CaseResult {
        self.check(rows)?;
        let left: Vec<JobId> = rows.stored.live.iter().map(|row| row.id).collect();
        ensure!(left.is_empty(), "{}: jobs have not ended: {left:?}", Promise::NoLostAck);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Strictly later than the one before, because the resolution of the clock may be too coarse to
    /// order two events.
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
            Event::Answered(_, answered) => self.take_in(answered),
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

    /// Counts what cases wait for, and drops from a read the jobs of which it found nothing new.
    fn take_in(&mut self, answered: &mut Answered) {
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
            Answered::Claimed(_) | Answered::Cancelled(_) => {}
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
