//! The search for an order of what was done to one job.

use std::collections::HashSet;

use super::NEVER;
use super::step::{Stage, Step};

/// The most operations on one job that are under way at the same time: they are told apart by bits.
pub(super) const MOST_OPEN: usize = 128;

/// An operation on the job that was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) asked: u64,
    pub(super) answered: u64,
    pub(super) step: Step,
}

/// What may have happened to the job, any number of times, from one moment to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) step: Step,
}

/// Stretches of time in which something may have happened to any job.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    /// Each with its beginning, and the latest end of all up to it.
    ends: Vec<(u64, u64)>,
}

impl Stretches {
    /// From the beginnings and ends, in the order of the beginnings.
    pub(super) fn new(stretches: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut ends: Vec<(u64, u64)> = Vec::new();
        for (from, until) in stretches {
            let latest = ends.last().map_or(until, |(_, latest)| until.max(*latest));
            ends.push((from, latest));
        }
        Self { ends }
    }

    /// Whether one of them has something in common with the time between these moments.
    fn meets(&self, after: u64, before: u64) -> bool {
        let begun = self.ends.partition_point(|(from, _)| *from < before);
        begun.checked_sub(1).is_some_and(|last| self.ends[last].1 > after)
    }
}

/// What may have happened to any job.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) rescues: Stretches,
    pub(super) prunes: Stretches,
    /// Claims of unknown outcome.
    pub(super) claims: Stretches,
}

/// Why no order was found.
#[derive(Debug)]
pub(super) enum NoOrder {
    /// There is none: this cannot have been answered so, wherever the job may have stood from when it was asked
    /// to when it was answered.
    Impossible { event: Event, stages: Vec<Stage> },
    /// More than [`MOST_OPEN`] were under way.
    TooManyOpen,
}

/// A way in which everything can have been so far: where it left the job, and which of the open operations
/// are done.
type Way = (Stage, u128);

/// Puts the events one after another so that each is answered rightly, none of them before it was asked or
/// after it was answered.
///
/// All ways are followed at once, from answer to answer. What changes nothing and is true is done as soon as
/// it is: nothing is gained by waiting.
pub(super) fn find(
    events: &[Event],
    chances: &[Chance],
    world: &World,
    attempts: u32,
) -> Result<(), NoOrder> {
    let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(events.len() * 2);
    for (index, event) in events.iter().enumerate() {
        moments.push((event.asked, false, index));
        moments.push((event.answered, true, index));
    }
    moments.sort_unstable();
    let mut search = Search { events, chances, world, attempts, open: Vec::new(), last: 0 };
    let mut ways: HashSet<Way> = HashSet::from([(Stage::Absent, 0)]);
    for (moment, is_answer, index) in moments {
        if !is_answer {
            if !search.open(index) {
                return Err(NoOrder::TooManyOpen);
            }
            continue;
        }
        let reached = search.all_reached(ways, moment);
        let bit = search.close(index);
        ways = reached
            .iter()
            .filter(|(_, done)| done & bit != 0)
            .map(|(stage, done)| (*stage, done & !bit))
            .collect();
        if ways.is_empty() {
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
    events: &'a [Event],
    chances: &'a [Chance],
    world: &'a World,
    attempts: u32,
    /// The operations under way, each at its bit.
    open: Vec<Option<usize>>,
    /// The moment up to which the ways are known.
    last: u64,
}

impl Search<'_> {
    /// Gives an operation a bit; `false` if there are too many to tell apart.
    fn open(&mut self, index: usize) -> bool {
        let free = self.open.iter().position(Option::is_none).unwrap_or(self.open.len());
        if free == self.open.len() {
            self.open.push(None);
        }
        self.open[free] = Some(index);
        free < MOST_OPEN
    }

    /// The bit of an operation, which is free again.
    fn close(&mut self, index: usize) -> u128 {
        let is_it = |open: &Option<usize>| *open == Some(index);
        let Some(place) = self.open.iter().position(is_it) else { return 0 };
        self.open[place] = None;
        1 << place
    }

    /// All ways that these can have gone on up to this moment.
    fn all_reached(&self, ways: HashSet<Way>, until: u64) -> HashSet<Way> {
        let mut reached = HashSet::new();
        let mut next: Vec<Way> = ways.into_iter().collect();
        while let Some(way) = next.pop() {
            let way = self.with_all_that_is_true(way);
            if reached.insert(way) {
                self.steps_from(way, until, |way| next.push(way));
            }
        }
        reached
    }

    fn undone(&self, done: u128) -> impl Iterator<Item = (u128, Step)> {
        let bits = self.open.iter().enumerate();
        let undone = bits.filter_map(move |(place, open)| {
            open.filter(|_| done & (1 << place) == 0).map(|index| (1 << place, index))
        });
        undone.map(|(bit, index)| (bit, self.events[index].step))
    }

    fn with_all_that_is_true(&self, (stage, done): Way) -> Way {
        let is_true = |step: Step| step.after(stage, self.attempts) == Some(stage);
        let more = self.undone(done).filter(|(_, step)| is_true(*step)).fold(0, |bits, (bit, _)| bits | bit);
        (stage, done | more)
    }

    fn steps_from(&self, (stage, done): Way, until: u64, mut to: impl FnMut(Way)) {
        for (bit, step) in self.undone(done) {
            if let Some(after) = step.after(stage, self.attempts) {
                to((after, done | bit));
            }
        }
        let chances = self.chances.iter().filter(|chance| chance.from < until && chance.until > self.last);
        for after in chances.filter_map(|chance| chance.step.after(stage, self.attempts)) {
            to((after, done));
        }
        for (stretches, step) in [(&self.world.rescues, Step::Rescued), (&self.world.prunes, Step::Pruned)] {
            if let Some(after) = step.after(stage, self.attempts)
                && stretches.meets(self.last, until)
            {
                to((after, done));
            }
        }
        if let Stage::Waiting { attempt } = stage
            && attempt < self.attempts
            && self.world.claims.meets(self.last, until)
        {
            to((Stage::Running { claim: None, attempt: attempt + 1 }, done));
        }
    }
}

impl Chance {
    /// From a moment on, for ever.
    pub(super) const fn since(from: u64, step: Step) -> Self {
        Self { from, until: NEVER, step }
    }
}
