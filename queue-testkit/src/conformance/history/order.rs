//! Searches for an order of the operations on one job.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use queue_core::ClaimId;

use super::event::RetryAnswer;
use super::step::{Stage, Step};

/// A time after all others.
pub(super) const NEVER: Duration = Duration::MAX;

/// Maximum number of concurrent operations on one job, because each has a bit of a `u128`.
pub(super) const MAX_OPEN: usize = 128;

/// An operation on the job that has a reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) asked: Duration,
    pub(super) answered: Duration,
    /// The process of the request; `None` for the final rows.
    pub(super) process: Option<usize>,
    pub(super) step: Step,
}

/// A step that may have happened to the job, any number of times, from a time on.
#[derive(Debug, Clone, Copy)]
pub(super) struct PossibleStep {
    pub(super) from: Duration,
    pub(super) process: usize,
    pub(super) step: Step,
}

/// The operations on one job.
#[derive(Debug, Default)]
pub(super) struct JobHistory {
    pub(super) events: Vec<Event>,
    pub(super) possible_steps: Vec<PossibleStep>,
    /// Claims of unknown outcome that a later operation names, each with the time of its request.
    pub(super) unknown_claims: Vec<(ClaimId, Duration)>,
    pub(super) attempts: u32,
}

impl JobHistory {
    /// The highest attempt that a claim of unknown outcome may have made. Attempts of a waiting job
    /// never decrease. An attempt above all that are named would therefore be in the final row,
    /// unless the job was pruned.
    fn highest_unknown(&self, any_job: &AnyJobEffects) -> u32 {
        if !any_job.prunes.is_empty() {
            let retries = self.steps().filter(|step| *step == Step::Retried(RetryAnswer::Retried)).count();
            let budgets = u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1);
            return self.attempts.saturating_mul(budgets);
        }
        self.events.iter().filter_map(|event| event.step.attempt()).max().unwrap_or_default()
    }
}

/// Intervals of time in which an operation may have affected any job.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    /// The start of each interval, and the latest end of all intervals up to it.
    ends: Vec<(Duration, Duration)>,
}

impl Intervals {
    /// Creates the list from starts and ends, which must be in the order of the starts.
    pub(super) fn new(intervals: impl Iterator<Item = (Duration, Duration)>) -> Self {
        let mut ends: Vec<(Duration, Duration)> = Vec::new();
        for (from, until) in intervals {
            let latest = ends.last().map_or(until, |(_, latest)| until.max(*latest));
            ends.push((from, latest));
        }
        Self { ends }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether an interval overlaps the time between these two times.
    fn overlap(&self, after: Duration, before: Duration) -> bool {
        let begun = self.ends.partition_point(|(from, _)| *from < before);
        begun.checked_sub(1).is_some_and(|last| self.ends[last].1 > after)
    }
}

/// The effects that any job may have had.
#[derive(Debug, Default)]
pub(super) struct AnyJobEffects {
    pub(super) rescues: Intervals,
    /// From when on the leases of each claim may have been rescued.
    pub(super) lost_from: HashMap<ClaimId, Duration>,
    pub(super) prunes: Intervals,
    /// Claims of unknown outcome.
    pub(super) claims: Intervals,
}

impl AnyJobEffects {
    fn may_rescue(&self, stage: Stage, after: Duration, before: Duration) -> bool {
        let from = match stage {
            Stage::Running { claim: Some(claim), .. } => self.lost_from.get(&claim).copied(),
            _ => None,
        };
        let after = from.unwrap_or_default().max(after);
        after <= before && self.rescues.overlap(after, before)
    }
}

/// The reason why no order was found.
#[derive(Debug)]
pub(super) enum NoOrder {
    /// No order exists: the reply to `event` is wrong for each state that the job may have had
    /// between the request and the reply.
    Impossible { event: Event, stages: Vec<Stage> },
    /// More than [`MAX_OPEN`] operations were concurrent.
    TooManyOpen,
}

/// A possible execution so far: the stage of the job, and which of the open operations were
/// executed.
type Execution = (Stage, u128);

/// Searches for an order of the events in which each reply is right and each operation is executed
/// between its request and its reply.
///
/// All possible executions are followed in parallel, from reply to reply. An operation that changes
/// nothing is executed as soon as its reply is right, because a later execution permits nothing
/// more.
pub(super) fn find(history: &JobHistory, any_job: &AnyJobEffects) -> Result<(), NoOrder> {
    let events = &history.events;
    let mut moments: Vec<(Duration, bool, usize)> = Vec::with_capacity(events.len() * 2);
    for (index, event) in events.iter().enumerate() {
        moments.push((event.asked, false, index));
        moments.push((event.answered, true, index));
    }
    moments.sort_unstable();
    let highest_unknown = history.highest_unknown(any_job);
    let mut search = Search { history, any_job, highest_unknown, open: Vec::new(), last: Duration::ZERO };
    let mut executions: HashSet<Execution> = HashSet::from([(Stage::Absent, 0)]);
    for (moment, is_answer, index) in moments {
        if !is_answer {
            if !search.open(index) {
                return Err(NoOrder::TooManyOpen);
            }
            continue;
        }
        let reached = search.all_reached(executions, moment);
        let bit = search.close(index);
        executions = reached
            .iter()
            .filter(|(_, done)| done & bit != 0)
            .map(|(stage, done)| (*stage, done & !bit))
            .collect();
        if executions.is_empty() {
            let mut stages: Vec<Stage> = Vec::new();
            for (stage, _) in reached {
                if !stages.contains(&stage) {
                    stages.push(stage);
                }
            }
            return Err(NoOrder::Impossible { event: events[index], stages });
        }
        search.last = moment;
    }
    Ok(())
}

struct Search<'a> {
    history: &'a JobHistory,
    any_job: &'a AnyJobEffects,
    highest_unknown: u32,
    /// The concurrent operations, each at the index of its bit.
    open: Vec<Option<usize>>,
    /// The time up to which the executions are known.
    last: Duration,
}

impl Search<'_> {
    /// Assigns a bit to an operation; `false` if there are too many.
    fn open(&mut self, index: usize) -> bool {
        let free = self.open.iter().position(Option::is_none).unwrap_or(self.open.len());
        if free == self.open.len() {
            self.open.push(None);
        }
        self.open[free] = Some(index);
        free < MAX_OPEN
    }

    /// Frees the bit of an operation and returns it.
    fn close(&mut self, index: usize) -> u128 {
        let is_it = |open: &Option<usize>| *open == Some(index);
        let Some(slot) = self.open.iter().position(is_it) else { return 0 };
        self.open[slot] = None;
        1 << slot
    }

    /// All executions that these may have become by this time.
    fn all_reached(&self, executions: HashSet<Execution>, until: Duration) -> HashSet<Execution> {
        let mut reached = HashSet::new();
        let mut next: Vec<Execution> = executions.into_iter().collect();
        while let Some(execution) = next.pop() {
            let execution = self.with_unchanging_steps(execution);
            if reached.insert(execution) {
                self.steps_from(execution, until, |execution| next.push(execution));
            }
        }
        reached
    }

    fn undone(&self, done: u128) -> impl Iterator<Item = (u128, Step)> {
        let bits = self.open.iter().enumerate();
        let undone = bits.filter_map(move |(slot, open)| {
            open.filter(|_| done & (1 << slot) == 0).map(|index| (1 << slot, index))
        });
        undone.map(|(bit, index)| (bit, self.history.events[index].step))
    }

    fn with_unchanging_steps(&self, (stage, done): Execution) -> Execution {
        let is_true = |step: Step| step.after(stage, self.history.attempts) == Some(stage);
        let more = self.undone(done).filter(|(_, step)| is_true(*step)).fold(0, |bits, (bit, _)| bits | bit);
        (stage, done | more)
    }

    fn steps_from(&self, (stage, done): Execution, until: Duration, mut to: impl FnMut(Execution)) {
        for (bit, step) in self.undone(done) {
            if let Some(after) = step.after(stage, self.history.attempts) {
                to((after, done | bit));
            }
        }
        let possible_steps = self.history.possible_steps.iter().filter(|possible| possible.from < until);
        for after in possible_steps.filter_map(|possible| possible.step.after(stage, self.history.attempts)) {
            to((after, done));
        }
        if let Some(after) = Step::Rescued.after(stage, self.history.attempts)
            && self.any_job.may_rescue(stage, self.last, until)
        {
            to((after, done));
        }
        if let Some(after) = Step::Pruned.after(stage, self.history.attempts)
            && self.any_job.prunes.overlap(self.last, until)
        {
            to((after, done));
        }
        self.unknown_claims(stage, until, |stage| to((stage, done)));
    }

    fn unknown_claims(&self, stage: Stage, until: Duration, mut to: impl FnMut(Stage)) {
        let Stage::Waiting { attempt, most } = stage else { return };
        let attempt = attempt + 1;
        if attempt > self.highest_unknown.min(most) {
            return;
        }
        for (claim, _) in self.history.unknown_claims.iter().filter(|(_, from)| *from < until) {
            to(Stage::Running { claim: Some(*claim), attempt, most });
        }
        if self.any_job.claims.overlap(self.last, until) {
            to(Stage::Running { claim: None, attempt, most });
        }
    }
}
