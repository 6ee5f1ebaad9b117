//! What tasks that raced saw, checked a job at a time.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{bail, ensure};
use queue_core::backend::{CancelReply, Settled};
use queue_core::{ClaimId, JobId, State};

/// The most operations on one job: they are told apart by the bits of a word.
const MOST: usize = 64;

/// One operation, as it concerned one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An insert that was answered so.
    Inserted(bool),
    /// A claim that brought the job.
    Claimed(ClaimId),
    /// The end of a lease after which the job can be claimed again, and its answer.
    GivenBack(ClaimId, Settled),
    /// A completion, and its answer.
    Completed(ClaimId, Settled),
    /// A cancel, and its answer.
    Cancel(CancelReply),
}

#[derive(Debug, Clone, Copy)]
struct Event {
    asked: u64,
    answered: u64,
    step: Step,
}

/// A job as every single operation should find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Absent,
    Waiting,
    Running(ClaimId),
    Ended(State),
}

impl Step {
    /// What the operation makes of the job; `None` if it cannot be answered so there.
    fn after(self, stage: Stage) -> Option<Stage> {
        match (self, stage) {
            (Self::Inserted(true), Stage::Absent) => Some(Stage::Waiting),
            (Self::Claimed(claim), Stage::Waiting) => Some(Stage::Running(claim)),
            (Self::GivenBack(claim, Settled::Done), Stage::Running(holder)) if claim == holder => {
                Some(Stage::Waiting)
            }
            (Self::Completed(claim, Settled::Done), Stage::Running(holder)) if claim == holder => {
                Some(Stage::Ended(State::Completed))
            }
            (Self::Cancel(CancelReply::Cancelled), Stage::Waiting) => Some(Stage::Ended(State::Cancelled)),
            _ => self.is_true_of(stage).then_some(stage),
        }
    }

    /// Whether the answer is right for an operation that changes nothing.
    fn is_true_of(self, stage: Stage) -> bool {
        match (self, stage) {
            (Self::Inserted(is_new), _) => !is_new && stage != Stage::Absent,
            (
                Self::GivenBack(claim, Settled::LeaseLost) | Self::Completed(claim, Settled::LeaseLost),
                Stage::Running(holder),
            ) => claim != holder,
            (Self::GivenBack(_, settled) | Self::Completed(_, settled), _) => settled == Settled::LeaseLost,
            (Self::Cancel(reply), Stage::Absent) => reply == CancelReply::NotFound,
            (Self::Cancel(reply), Stage::Running(_)) => reply == CancelReply::Running,
            (Self::Cancel(reply), Stage::Ended(state)) => reply == CancelReply::Finished(state),
            (Self::Claimed(_) | Self::Cancel(_), _) => false,
        }
    }
}

/// Notes what was asked and answered, and in which order that certainly was.
#[derive(Debug, Default)]
pub(crate) struct History {
    moments: AtomicU64,
    events: Mutex<BTreeMap<JobId, Vec<Event>>>,
}

impl History {
    /// Awaits an operation, and notes what its answer says of each job.
    pub(crate) async fn note<T>(
        &self,
        operation: impl Future<Output = anyhow::Result<T>>,
        steps: impl FnOnce(&T) -> Vec<(JobId, Step)>,
    ) -> anyhow::Result<T> {
        let asked = self.moment();
        let answer = operation.await?;
        let answered = self.moment();
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for (job, step) in steps(&answer) {
            events.entry(job).or_default().push(Event { asked, answered, step });
        }
        drop(events);
        Ok(answer)
    }

    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    /// Fails unless, for each job, the operations can be put one after another so that each is answered
    /// rightly, with none before one that had been answered when it was asked. Two live leases of one
    /// job, a cancelled job that starts, a "not found" after the acknowledgement: none can.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for (job, events) in &*events {
            ensure!(events.len() <= MOST, "job {job} has {} operations, too many to check", events.len());
            if !can_be_ordered(events, 0, Stage::Absent, &mut HashSet::new()) {
                bail!("no order of these operations on job {job} gives their answers:\n{}", lines(events));
            }
        }
        Ok(())
    }
}

/// Whether the events that `done` does not name can follow in some order.
fn can_be_ordered(events: &[Event], done: u64, stage: Stage, tried: &mut HashSet<(u64, Stage)>) -> bool {
    let is_open = |index: &usize| done & (1 << index) == 0;
    let open: Vec<usize> = (0..events.len()).filter(is_open).collect();
    let Some(first_answer) = open.iter().map(|&index| events[index].answered).min() else { return true };
    if !tried.insert((done, stage)) {
        return false;
    }
    open.into_iter().filter(|&index| events[index].asked <= first_answer).any(|index| {
        let after = events[index].step.after(stage);
        after.is_some_and(|after| can_be_ordered(events, done | (1 << index), after, tried))
    })
}

fn lines(events: &[Event]) -> String {
    let line = |event: &Event| {
        format!("  asked {:>4}, answered {:>4}: {:?}", event.asked, event.answered, event.step)
    };
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}
