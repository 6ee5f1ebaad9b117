//! States that a run of everything at once must have reached.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::ensure;
use queue_core::State;
use queue_core::backend::{OutcomeRow, Stored};

use super::event::{Answered, Asked, End, Ending, Event, Failure, Lease, Met};
use super::testimony::{Operation, Testimony};

/// How often each was reached.
#[derive(Debug, Default)]
pub(crate) struct Reached(BTreeMap<Rare, u64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rare {
    LeaseLost,
    WorkerLost,
    Rescued,
    InsertCutOff,
    CancelWasFirst,
    CancelMetRunning,
    CancelWasLate,
    CompletedAllTheSame,
    Retried,
    Snoozed,
    Buried,
    Refused,
}

impl Rare {
    const ALL: [(Self, &'static str); 12] = [
        (Self::LeaseLost, "lease lost"),
        (Self::WorkerLost, "worker lost"),
        (Self::Rescued, "lease rescued"),
        (Self::InsertCutOff, "insert cut off by a kill"),
        (Self::CancelWasFirst, "cancel came first"),
        (Self::CancelMetRunning, "cancel met a running job"),
        (Self::CancelWasLate, "cancel came late"),
        (Self::CompletedAllTheSame, "completed although it was told to stop"),
        (Self::Retried, "retried"),
        (Self::Snoozed, "snoozed"),
        (Self::Buried, "buried"),
        (Self::Refused, "refused by its handler"),
    ];
}

impl Reached {
    pub(crate) fn count(testimonies: &[Testimony], stored: &Stored) -> Self {
        let mut reached = Self::default();
        let operations: Vec<Operation> = testimonies.iter().flat_map(Testimony::operations).collect();
        for operation in &operations {
            reached.operation(&operation.asked, operation.answer.as_ref().map(|answer| &answer.1));
        }
        for testimony in testimonies {
            for (_, event) in testimony.events() {
                if let Event::Answers(_, Answered::Rescued { jobs, .. }) = event {
                    reached.add(Rare::Rescued, jobs);
                }
            }
        }
        reached.add(Rare::CompletedAllTheSame, completed_all_the_same(&operations, stored));
        reached
    }

    fn operation(&mut self, asked: &Asked, answer: Option<&Answered>) {
        match (asked, answer) {
            (Asked::Insert(_), None) => self.add(Rare::InsertCutOff, 1),
            (_, Some(Answered::Failed(Failure::WorkerLost))) => self.add(Rare::WorkerLost, 1),
            (Asked::Cancel(_), Some(Answered::Cancelled(met))) => {
                for met in met {
                    match met {
                        Met::Waiting => self.add(Rare::CancelWasFirst, 1),
                        Met::Running => self.add(Rare::CancelMetRunning, 1),
                        Met::Finished(_) => self.add(Rare::CancelWasLate, 1),
                        Met::Nothing => {}
                    }
                }
            }
            (Asked::Settle(ends), Some(Answered::Settled(answers))) => {
                for ((_, ending), answer) in ends.iter().zip(answers) {
                    match (ending, answer) {
                        (_, Ok(End::LeaseLost)) => self.add(Rare::LeaseLost, 1),
                        (Ending::Retry, Ok(End::Done)) => self.add(Rare::Retried, 1),
                        (Ending::Snooze, Ok(End::Done)) => self.add(Rare::Snoozed, 1),
                        (Ending::Bury, Ok(End::Done)) => self.add(Rare::Buried, 1),
                        (Ending::Cancel, Ok(End::Done)) => self.add(Rare::Refused, 1),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// Those of another run as well.
    pub(crate) fn join(&mut self, other: Self) {
        other.0.into_iter().for_each(|(rare, many)| self.add(rare, many));
    }

    fn add(&mut self, rare: Rare, many: u64) {
        *self.0.entry(rare).or_default() += many;
    }

    /// Fails if one was never reached: then the run has not shown what it is to show.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let is_missing = |(rare, _): &(Rare, &str)| self.0.get(rare).is_none_or(|&many| many == 0);
        let missing: Vec<&str> = Rare::ALL.into_iter().filter(is_missing).map(|(_, name)| name).collect();
        ensure!(missing.is_empty(), "the run never reached {}: {self}", missing.join(", "));
        Ok(())
    }
}

/// How many jobs were completed by the very lease that a cancel had met running: it was claimed before the cancel
/// was asked for.
fn completed_all_the_same(operations: &[Operation], stored: &Stored) -> u64 {
    let mut claimed = BTreeMap::new();
    let mut told = BTreeMap::new();
    for Operation { asked_at, asked, answer } in operations {
        match (asked, answer) {
            (Asked::Claim { claim, .. }, Some((at, Answered::Claimed(jobs)))) => {
                claimed.extend(jobs.iter().map(|&(job, _)| (Lease { job, claim: *claim }, *at)));
            }
            (Asked::Cancel(jobs), Some((_, Answered::Cancelled(met)))) => {
                let running = jobs.iter().zip(met).filter(|(_, met)| **met == Met::Running);
                told.extend(running.map(|(&job, _)| (job, *asked_at)));
            }
            _ => {}
        }
    }
    let is_told = |row: &&OutcomeRow| {
        let lease = row.claim.map(|claim| Lease { job: row.id, claim });
        let claimed_at = lease.and_then(|lease| claimed.get(&lease));
        let told_at = told.get(&row.id);
        claimed_at.zip(told_at).is_some_and(|(claimed_at, told_at)| claimed_at <= told_at)
    };
    let completed = stored.outcomes.iter().filter(|row| row.state == State::Completed);
    completed.filter(is_told).count() as u64
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |(rare, name)| format!("{name} {}", self.0.get(&rare).copied().unwrap_or_default());
        f.write_str(&Rare::ALL.map(count).join(", "))
    }
}
