//! The search for an order of what was done to one job.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use queue_core::ClaimId;

use super::step::{Stage, Step};

/// A moment that has not come.
pub(super) const NEVER: Duration = Duration::MAX;

/// The most operations on one job that are under way at the same time: each has a bit.
pub(super) const MOST_OPEN: usize = 128;

/// An operation on the job that was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) asked: Duration,
    pub(super) answered: Duration,
    /// The process that asked; `None` for the rows in the end.
    pub(super) process: Option<usize>,
    pub(super) step: Step,
}

/// A step that may have happened to the job, any number of times, from a moment on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    pub(super) from: Duration,
    pub(super) process: usize,
    pub(super) step: Step,
}

/// All that is known of one job.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) events: Vec<Event>,
    pub(super) chances: Vec<Chance>,
    /// Claims of unknown outcome that something names later, each with the moment of its request.
    pub(super) unknown_claims: Vec<(ClaimId, Duration)>,
    pub(super) attempts: u32,
}

impl Life {
    /// The highest attempt that a claim of unknown outcome may have made. Attempts of a waiting job
    /// never go down, so that one above all that are named would show in the end, unless the job was
    /// removed.
    fn highest_unknown(&self, world: &World) -> u32 {
        if !world.prunes.is_empty() {
            return self.attempts;
        }
        let named = self.events.iter().filter_map(|event| event.step.attempt()).max();
        named.unwrap_or_default().min(self.attempts)
    }
}

/// Stretches of time in which something may have happened to any job.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    /// Each with its beginning, and the latest end of all up to it.
    ends: Vec<(Duration, Duration)>,
}

impl Stretches {
    /// From the beginnings and ends, in the order of the beginnings.
    pub(super) fn new(stretches: impl Iterator<Item = (Duration, Duration)>) -> Self {
        let mut ends: Vec<(Duration, Duration)> = Vec::new();
        for (from, until) in stretches {
            let latest = ends.last().map_or(until, |(_, latest)| until.max(*latest));
            ends.push((from, latest));
        }
        Self { ends }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether one of them has something in common with the time between these moments.
    fn meets(&self, after: Duration, before: Duration) -> bool {
        let begun = self.ends.partition_point(|(from, _)| *from < before);
        begun.checked_sub(1).is_some_and(|last| self.ends[last].1 > after)
    }
}

/// What may have happened to any job.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) rescues: Stretches,
    /// From when on the leases of a claim can have been taken back.
    pub(super) lost_from: HashMap<ClaimId, Duration>,
    pub(super) prunes: Stretches,
    /// Claims of unknown outcome.
    pub(super) claims: Stretches,
}

impl World {
    fn may_rescue(&self, stage: Stage, after: Duration, before: Duration) -> bool {
        let from = match stage {
            Stage::Running { claim: Some(claim), .. } => self.lost_from.get(&claim).copied(),
            _ => None,
        };
        let after = from.unwrap_or_default().max(after);
        after <= before && self.rescues.meets(after, before)
    }
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
pub(super) fn find(life: &Life, world: &World) -> Result<(), NoOrder> {
    let events = &life.events;
    let mut moments: Vec<(Duration, bool, usize)> = Vec::with_capacity(events.len() * 2);
    for (index, event) in events.iter().enumerate() {
        moments.push((event.asked, false, index));
        moments.push((event.answered, true, index));
    }
    moments.sort_unstable();
    let highest_unknown = life.highest_unknown(world);
    let mut search = Search { life, world, highest_unknown, open: Vec::new(), last: Duration::ZERO };
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
    life: &'a Life,
    world: &'a World,
    highest_unknown: u32,
    /// The operations under way, each at its bit.
    open: Vec<Option<usize>>,
    /// The moment up to which the ways are known.
    last: Duration,
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
    fn all_reached(&self, ways: HashSet<Way>, until: Duration) -> HashSet<Way> {
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
        undone.map(|(bit, index)| (bit, self.life.events[index].step))
    }

    fn with_all_that_is_true(&self, (stage, done): Way) -> Way {
        let is_true = |step: Step| step.after(stage, self.life.attempts) == Some(stage);
        let more = self.undone(done).filter(|(_, step)| is_true(*step)).fold(0, |bits, (bit, _)| bits | bit);
        (stage, done | more)
    }

    fn steps_from(&self, (stage, done): Way, until: Duration, mut to: impl FnMut(Way)) {
        for (bit, step) in self.undone(done) {
            if let Some(after) = step.after(stage, self.life.attempts) {
                to((after, done | bit));
            }
        }
        let chances = self.life.chances.iter().filter(|chance| chance.from < until);
        for after in chances.filter_map(|chance| chance.step.after(stage, self.life.attempts)) {
            to((after, done));
        }
        if let Some(after) = Step::Rescued.after(stage, self.life.attempts)
            && self.world.may_rescue(stage, self.last, until)
        {
            to((after, done));
        }
        if let Some(after) = Step::Pruned.after(stage, self.life.attempts)
            && self.world.prunes.meets(self.last, until)
        {
            to((after, done));
        }
        self.unknown_claims(stage, until, |stage| to((stage, done)));
    }

    fn unknown_claims(&self, stage: Stage, until: Duration, mut to: impl FnMut(Stage)) {
        let Stage::Waiting { attempt } = stage else { return };
        let attempt = attempt + 1;
        if attempt > self.highest_unknown {
            return;
        }
        for (claim, _) in self.life.unknown_claims.iter().filter(|(_, from)| *from < until) {
            to(Stage::Running { claim: Some(*claim), attempt });
        }
        if self.world.claims.meets(self.last, until) {
            to(Stage::Running { claim: None, attempt });
        }
    }
}
