//! States that a run of everything at once must have reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::ensure;
use queue_core::backend::Stored;
use queue_core::{JobId, State};

use super::event::{Answered, Asked, End, Ending, Event, Failure, Met};
use super::testimony::Testimony;

/// How often each was reached.
#[derive(Debug)]
pub(crate) struct Reached(BTreeMap<Rare, u64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rare {
    LeaseLost,
    WorkerLost,
    Rescued,
    UnknownOutcome,
    CancelWasFirst,
    CancelMetRunning,
    CancelWasLate,
    CancelRacedCompletion,
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
        (Self::UnknownOutcome, "outcome unknown"),
        (Self::CancelWasFirst, "cancel came first"),
        (Self::CancelMetRunning, "cancel met a running job"),
        (Self::CancelWasLate, "cancel came late"),
        (Self::CancelRacedCompletion, "cancel raced completion"),
        (Self::Retried, "retried"),
        (Self::Snoozed, "snoozed"),
        (Self::Buried, "buried"),
        (Self::Refused, "refused by its handler"),
    ];
}

impl Reached {
    pub(crate) fn count(testimonies: &[Testimony], stored: &Stored) -> Self {
        let mut reached = Self(Rare::ALL.map(|(rare, _)| (rare, 0)).into());
        let mut signalled = BTreeSet::new();
        for testimony in testimonies {
            for operation in testimony.operations() {
                reached.operation(
                    &operation.asked,
                    operation.answer.as_ref().map(|answer| &answer.1),
                    &mut signalled,
                );
            }
            for (_, event) in testimony.events() {
                if let Event::Answers(_, Answered::Rescued { jobs, .. }) = event {
                    reached.add(Rare::Rescued, jobs);
                }
            }
        }
        let completed = stored.outcomes.iter().filter(|row| row.state == State::Completed);
        let raced = completed.filter(|row| signalled.contains(&row.id)).count();
        reached.add(Rare::CancelRacedCompletion, raced as u64);
        reached
    }

    fn operation(&mut self, asked: &Asked, answer: Option<&Answered>, signalled: &mut BTreeSet<JobId>) {
        match (asked, answer) {
            (Asked::Insert(_), None | Some(Answered::Failed(Failure::Unknown))) => {
                self.add(Rare::UnknownOutcome, 1);
            }
            (_, Some(Answered::Failed(Failure::WorkerLost))) => self.add(Rare::WorkerLost, 1),
            (Asked::Cancel(jobs), Some(Answered::Cancelled(met))) => {
                for (job, met) in jobs.iter().zip(met) {
                    match met {
                        Met::Waiting => self.add(Rare::CancelWasFirst, 1),
                        Met::Running => {
                            signalled.insert(*job);
                            self.add(Rare::CancelMetRunning, 1);
                        }
                        Met::Finished => self.add(Rare::CancelWasLate, 1),
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

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |(rare, name)| format!("{name} {}", self.0.get(&rare).copied().unwrap_or_default());
        f.write_str(&Rare::ALL.map(count).join(", "))
    }
}
