//! The rare states that a soak must have reached.

use std::collections::BTreeMap;
use std::fmt;

use queue_core::JobState;
use queue_core::backend::{OutcomeRow, Stored};

use crate::conformance::history::event::{
    Answered, Asked, CancelAnswer, Ending, Failure, Lease, SettleAnswer,
};
use crate::conformance::history::log::{Log, Operation};
use crate::conformance::pass::not_shown;

/// How often each rare state was reached.
#[derive(Debug, Default)]
pub(crate) struct Reached(BTreeMap<Rare, u64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rare {
    LeaseLost,
    WorkerLost,
    Rescued,
    InsertInterrupted,
    CancelMetWaiting,
    CancelMetRunning,
    CancelMetFinished,
    CompletedDespiteCancel,
    Retried,
    Snoozed,
    Buried,
    CancelledByHandler,
}

impl Rare {
    const ALL: [(Self, &'static str); 12] = [
        (Self::LeaseLost, "lease lost"),
        (Self::WorkerLost, "worker lost"),
        (Self::Rescued, "lease rescued"),
        (Self::InsertInterrupted, "insert interrupted by a kill"),
        (Self::CancelMetWaiting, "cancel met a waiting job"),
        (Self::CancelMetRunning, "cancel met a running job"),
        (Self::CancelMetFinished, "cancel met a finished job"),
        (Self::CompletedDespiteCancel, "completed despite a cancel"),
        (Self::Retried, "retried"),
        (Self::Snoozed, "snoozed"),
        (Self::Buried, "buried"),
        (Self::CancelledByHandler, "cancelled by its handler"),
    ];
}

impl Reached {
    pub(crate) fn count(log: &Log, stored: &Stored) -> Self {
        let mut reached = Self::default();
        for operation in &log.operations {
            reached.operation(&operation.asked, operation.answered());
        }
        reached.add(Rare::CompletedDespiteCancel, completed_despite_cancel(&log.operations, stored));
        reached
    }

    fn operation(&mut self, asked: &Asked, answer: Option<&Answered>) {
        match (asked, answer) {
            (Asked::Insert { .. }, None) => self.add(Rare::InsertInterrupted, 1),
            (_, Some(Answered::Failed(Failure::WorkerLost))) => self.add(Rare::WorkerLost, 1),
            (_, Some(Answered::Maintained { rescued, .. })) => self.add(Rare::Rescued, *rescued),
            (_, Some(Answered::Cancelled(answers))) => {
                for answer in answers {
                    match answer {
                        CancelAnswer::Cancelled => self.add(Rare::CancelMetWaiting, 1),
                        CancelAnswer::Running => self.add(Rare::CancelMetRunning, 1),
                        CancelAnswer::Finished(_) => self.add(Rare::CancelMetFinished, 1),
                        CancelAnswer::NotFound => {}
                    }
                }
            }
            (Asked::Settle(ends), Some(Answered::Settled(answers))) => {
                for (end, answer) in ends.iter().zip(answers) {
                    match (end.ending, answer) {
                        (_, Ok(SettleAnswer::LeaseLost)) => self.add(Rare::LeaseLost, 1),
                        (Ending::Retry, Ok(SettleAnswer::Done)) => self.add(Rare::Retried, 1),
                        (Ending::Snooze, Ok(SettleAnswer::Done)) => self.add(Rare::Snoozed, 1),
                        (Ending::Bury, Ok(SettleAnswer::Done)) => self.add(Rare::Buried, 1),
                        (Ending::Cancel, Ok(SettleAnswer::Done)) => self.add(Rare::CancelledByHandler, 1),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// Adds the counts of another round.
    pub(crate) fn join(&mut self, other: Self) {
        other.0.into_iter().for_each(|(rare, many)| self.add(rare, many));
    }

    fn add(&mut self, rare: Rare, many: u64) {
        *self.0.entry(rare).or_default() += many;
    }

    /// Returns [`NotShown`](crate::conformance::pass::NotShown) if a state was never reached,
    /// because the soak then did not test it.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let is_missing = |(rare, _): &(Rare, &str)| self.0.get(rare).is_none_or(|&many| many == 0);
        let missing: Vec<&str> = Rare::ALL.into_iter().filter(is_missing).map(|(_, name)| name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        Err(not_shown(format!("the soak never reached these states: {missing}; it reached: {self}")))
    }
}

/// Number of jobs that were completed by a lease that a cancel had signalled. Such a lease was
/// claimed before the request of the cancel.
fn completed_despite_cancel(operations: &[Operation], stored: &Stored) -> u64 {
    let mut claimed = BTreeMap::new();
    let mut signalled = BTreeMap::new();
    for operation in operations {
        if let Some(((claim, jobs), (at, _))) = operation.leases().zip(operation.answer.as_ref()) {
            claimed.extend(jobs.iter().map(|leased| (Lease { job: leased.job, claim }, *at)));
        }
        if let (Asked::Cancel(jobs), Some(Answered::Cancelled(answers))) =
            (&operation.asked, operation.answered())
        {
            let running = jobs.iter().zip(answers).filter(|(_, met)| **met == CancelAnswer::Running);
            signalled.extend(running.map(|(&job, _)| (job, operation.asked_at)));
        }
    }
    let is_signalled = |row: &&OutcomeRow| {
        let lease = row.claim.map(|claim| Lease { job: row.id, claim });
        let claimed_at = lease.and_then(|lease| claimed.get(&lease));
        let signalled_at = signalled.get(&row.id);
        claimed_at.zip(signalled_at).is_some_and(|(claimed_at, signalled_at)| claimed_at <= signalled_at)
    };
    let completed = stored.outcomes.iter().filter(|row| row.state == JobState::Completed);
    completed.filter(is_signalled).count() as u64
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |(rare, name)| format!("{name} {}", self.0.get(&rare).copied().unwrap_or_default());
        f.write_str(&Rare::ALL.map(count).join(", "))
    }
}
