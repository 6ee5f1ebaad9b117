//! What all handles of a storage were asked and answered, and whether it can have been so.
//!
//! A request without an answer, and one of unknown outcome, may have happened at any moment since it was
//! asked, or never. One that failed otherwise has not happened.

mod check;
mod observe;
mod order;
mod step;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use queue_core::backend::{JobRecord, Stored};
use queue_core::{ClaimId, Error, ErrorKind, JobId, WorkerId};

use super::check::CaseResult;
pub(crate) use observe::Observed;
use step::{Seen, Step};

/// A moment that has not come.
const NEVER: u64 = u64::MAX;

/// Everything that was asked and answered, in the order in which it certainly was.
#[derive(Default)]
pub(crate) struct History {
    moments: AtomicU64,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    entries: Vec<Entry>,
    /// What a read last said of a job of which nothing else was heard since: to hear it again is no news.
    unchanged: HashMap<JobId, Option<Seen>>,
    errors: HashMap<ErrorKind, u64>,
    leases_lost: u64,
    rescues: u64,
}

/// One request.
struct Entry {
    asked: u64,
    /// [`NEVER`] as long as it may happen yet.
    answered: u64,
    told: Told,
}

/// What a request says of jobs.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What certainly happened to these jobs.
    sure: Vec<(JobId, Step)>,
    /// What happened to these jobs at some moment, or not at all.
    maybe: Vec<(JobId, Step)>,
    /// A claim of unknown outcome, which may have taken any job.
    claim: Option<ClaimId>,
    /// Who claimed by which name.
    claimer: Option<(ClaimId, WorkerId)>,
    /// All leases are told that this worker has by this claim.
    leases_of: Option<(ClaimId, WorkerId)>,
    /// Leases may have been taken back.
    rescues: bool,
    /// Finished jobs may have been removed.
    prunes: bool,
}

/// A request that was noted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted(usize);

/// The rows of a storage, and when they were read.
pub(crate) struct Rows<'a> {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    pub(crate) stored: &'a Stored,
}

impl History {
    /// Notes a request.
    pub(crate) fn asked(&self, request: &impl Observed) -> Noted {
        let told = request.asked();
        let asked = self.moment();
        let mut record = self.record();
        record.hear(&told);
        record.entries.push(Entry { asked, answered: NEVER, told });
        Noted(record.entries.len() - 1)
    }

    /// Notes what became of it.
    pub(crate) fn answered<R: Observed>(
        &self,
        noted: Noted,
        request: &R,
        reply: &queue_core::Result<R::Reply>,
    ) {
        let told = match reply {
            Ok(reply) => request.answered(reply),
            Err(_) => Told::default(),
        };
        let answered = self.moment();
        let mut record = self.record();
        match reply {
            Ok(reply) => R::errors(reply).for_each(|error| record.count(error)),
            Err(error) => record.count(error),
        }
        record.hear(&told);
        record.rescues += u64::from(told.rescues);
        let entry = &mut record.entries[noted.0];
        if is_unknown(reply) {
            return;
        }
        if told.maybe.is_empty() {
            (entry.answered, entry.told) = (answered, told);
            return;
        }
        // What may happen yet is not over with the answer.
        let asked = entry.asked;
        entry.told = Told { maybe: told.maybe, ..Told::default() };
        record.entries.push(Entry { asked, answered, told: Told { maybe: Vec::new(), ..told } });
    }

    /// Notes the failure of a request that says nothing of jobs.
    pub(crate) fn failed(&self, error: Option<&Error>) {
        if let Some(error) = error {
            self.record().count(error);
        }
    }

    /// Notes what a read said of jobs; [`moment`](Self::moment) is from before it.
    pub(crate) fn read(&self, asked: u64, jobs: impl Iterator<Item = (JobId, Option<Seen>)>) {
        let answered = self.moment();
        let mut record = self.record();
        let news = jobs.filter(|(job, seen)| record.unchanged.insert(*job, *seen) != Some(*seen));
        let sure: Vec<_> = news.map(|(job, seen)| (job, Step::Read(seen))).collect();
        if !sure.is_empty() {
            record.entries.push(Entry { asked, answered, told: Told { sure, ..Told::default() } });
        }
    }

    /// A new moment.
    pub(crate) fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    /// How often anything failed so.
    pub(crate) fn failures(&self, kind: ErrorKind) -> u64 {
        self.record().errors.get(&kind).copied().unwrap_or_default()
    }

    /// How often anything failed for a reason that passes.
    pub(crate) fn passing_failures(&self) -> u64 {
        self.record().errors.iter().filter(|(kind, _)| kind.is_retryable()).map(|(_, times)| times).sum()
    }

    /// How often anything failed.
    pub(crate) fn failures_in_all(&self) -> u64 {
        self.record().errors.values().sum()
    }

    /// How often somebody was told that a lease was lost.
    pub(crate) fn leases_lost(&self) -> u64 {
        self.record().leases_lost
    }

    /// How often a request certainly took leases back.
    pub(crate) fn rescues(&self) -> u64 {
        self.record().rescues
    }

    /// Fails unless, for each job, all that was asked can be put in an order in which each answer is right
    /// and the rows are what is left, with nothing before what had been answered when it was asked. A job
    /// that was acknowledged and is gone, one that nobody enqueued, two live leases, a cancelled job that
    /// starts, an error after which something was done all the same: no order has these.
    pub(crate) fn check(&self, rows: &Rows<'_>) -> CaseResult {
        check::check(&self.record().entries, rows)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn hear(&mut self, told: &Told) {
        for (job, step) in told.sure.iter().chain(&told.maybe) {
            self.unchanged.remove(job);
            self.leases_lost += u64::from(step.is_lease_lost());
        }
        if told.claim.is_some() || told.rescues || told.prunes {
            self.unchanged.clear();
        }
    }

    fn count(&mut self, error: &Error) {
        *self.errors.entry(error.kind()).or_default() += 1;
    }
}

fn is_unknown<T>(reply: &queue_core::Result<T>) -> bool {
    reply.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnknownOutcome)
}

/// What a record says of its job.
pub(crate) fn seen(record: &JobRecord) -> (JobId, Option<Seen>) {
    let seen = Seen { state: record.state, attempt: record.attempt, claim: None };
    (record.job.id, Some(seen))
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record();
        write!(f, "History({} requests, errors {:?})", record.entries.len(), record.errors)
    }
}
