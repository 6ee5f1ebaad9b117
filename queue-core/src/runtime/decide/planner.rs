//! Decides what to claim next: from which queue, and from where in it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::QueueName;
use crate::backend::{Cursor, Hint, ReadyQueuesReply, Wakes};
use crate::runtime::WorkerSettings;
use crate::runtime::environment::later;

/// Claims from the head take at most this share of the time, unless `head_interval` has passed: one
/// part in so many.
const HEAD_SHARE: u32 = 20;

/// From so many queues on that are to be looked at, the backend is first asked which of them have anything: an idle worker of a
/// thousand queues made 194 transactions a second.
const MANY_QUEUES: usize = 4;

/// What to do next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Claim(Plan),
    /// Ask which of these queues have anything.
    Look(Vec<QueueName>),
}

/// From where in a queue to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Head,
    Cursor,
    LookBack,
}

/// One claim to make.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    index: usize,
    pub(crate) queue: QueueName,
    pub(crate) from: From,
    pub(crate) cursor: Option<Cursor>,
}

/// What a claim brought.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) jobs: usize,
    /// Whether there may be more behind the last job, for all the claim can tell.
    pub(crate) more: More,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) next_due: Option<Duration>,
}

/// Whether there may be more to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum More {
    /// The claim ended before its limit.
    No,
    /// The claim was full.
    Yes,
    /// The claim ended before a job on its last attempt, which needs a free slot.
    WhenSlotFree,
}

/// The queues of one backend. Pure: time is passed in, nothing is awaited.
///
/// A wake-up that arrives while a claim is under way is taken in after its reply: the reply replaces
/// the cursor that the wake-up rewinds.
#[derive(Debug)]
pub(crate) struct Planner {
    lanes: Vec<Lane>,
    next: usize,
    urgent: Option<i16>,
    settings: WorkerSettings,
}

#[derive(Debug)]
struct Lane {
    queue: QueueName,
    cursor: Option<Cursor>,
    hot: bool,
    /// Since when the next job, for all that is known, is on its last attempt and needs a free slot.
    needs_slot: Option<Instant>,
    /// Something was told of since the last claim, which may stand before that job.
    has_news: bool,
    /// A look found something: the next claim is made.
    is_named: bool,
    head_wanted: bool,
    head_allowed: Instant,
    head_at: Instant,
    look_back_at: Instant,
    active_until: Instant,
    due: Option<Instant>,
}

impl Lane {
    fn new(queue: QueueName, now: Instant) -> Self {
        Self {
            queue,
            cursor: None,
            hot: false,
            needs_slot: None,
            has_news: false,
            is_named: false,
            head_wanted: true,
            head_allowed: now,
            head_at: now,
            look_back_at: now,
            active_until: now,
            due: None,
        }
    }

    fn choose(&self, now: Instant, idle: usize) -> Option<From> {
        let due = self.due.is_some_and(|due| due <= now);
        let looks_back = self.look_back_at <= now && now < self.active_until;
        if self.head_at <= now {
            Some(From::Head)
        } else if self.waits_for_slot(idle) && !due {
            None
        } else if self.head_allowed <= now && (self.head_wanted || due || looks_back) {
            Some(From::Head)
        } else if due || looks_back {
            Some(From::LookBack)
        } else if self.hot {
            Some(From::Cursor)
        } else {
            None
        }
    }

    /// Whether a look at the whole queue would do, for all that is known.
    fn is_to_be_looked_at(&self, now: Instant, idle: usize) -> bool {
        !self.is_named && matches!(self.choose(now, idle), Some(From::Head | From::LookBack))
    }

    /// Learns that nothing was found, from the head.
    fn looked(
        &mut self,
        cost: Duration,
        next_due: Option<Duration>,
        now: Instant,
        settings: &WorkerSettings,
    ) {
        self.hot = false;
        self.needs_slot = None;
        self.has_news = false;
        self.due = self.due_from(next_due, now);
        self.look_back_at = later(now, settings.look_back_interval);
        self.head_looked_at(cost, now, settings);
    }

    fn head_looked_at(&mut self, cost: Duration, now: Instant, settings: &WorkerSettings) {
        self.head_wanted = false;
        self.head_allowed = later(now, (cost * HEAD_SHARE).min(settings.head_interval));
        self.head_at = later(now, settings.head_interval);
    }

    /// A backend that does not know does not contradict what a wake-up told.
    fn due_from(&self, next_due: Option<Duration>, now: Instant) -> Option<Instant> {
        next_due.map(|wait| later(now, wait)).or(self.due.filter(|due| *due > now))
    }

    /// Whether a claim would bring nothing until a slot is free.
    const fn waits_for_slot(&self, idle: usize) -> bool {
        self.needs_slot.is_some() && !self.has_news && idle == 0
    }

    /// When [`choose`](Self::choose) may answer otherwise, if nothing happens.
    fn next_time(&self, now: Instant, idle: usize) -> Instant {
        let mut next = self.due.map_or(self.head_at, |due| due.min(self.head_at));
        if self.waits_for_slot(idle) {
            return next;
        }
        if self.head_wanted {
            next = next.min(self.head_allowed);
        }
        if self.look_back_at.max(now) < self.active_until {
            next = next.min(self.look_back_at);
        }
        next
    }
}

impl Planner {
    pub(crate) fn new(queues: Vec<QueueName>, settings: WorkerSettings, now: Instant) -> Self {
        let lanes = queues.into_iter().map(|queue| Lane::new(queue, now)).collect();
        Self { lanes, next: 0, urgent: None, settings }
    }

    /// What to do now; `idle` slots have nothing to do. Queues take turns.
    pub(crate) fn next_step(&mut self, now: Instant, idle: usize) -> Option<Step> {
        let unknown = self.lanes.iter().filter(|lane| lane.is_to_be_looked_at(now, idle));
        if unknown.clone().count() >= MANY_QUEUES && !self.is_starved(now, idle) {
            return Some(Step::Look(unknown.map(|lane| lane.queue.clone()).collect()));
        }
        self.plan(now, idle).map(Step::Claim)
    }

    /// What to claim now.
    fn plan(&mut self, now: Instant, idle: usize) -> Option<Plan> {
        if self.is_starved(now, idle) {
            return None;
        }
        let many = self.lanes.len();
        let (index, from) = (0..many)
            .map(|step| (self.next + step) % many)
            .find_map(|index| Some((index, self.lanes[index].choose(now, idle)?)))?;
        self.next = (index + 1) % many;
        self.urgent = None;
        let lane = &self.lanes[index];
        let cursor = match (from, &lane.cursor) {
            (From::Head, _) | (_, None) => None,
            (From::Cursor, Some(cursor)) => Some(cursor.clone()),
            (From::LookBack, Some(cursor)) => Some(cursor.look_back(self.settings.look_back)),
        };
        Some(Plan { index, queue: lane.queue.clone(), from, cursor })
    }

    /// What to claim from each queue as soon as something is entered, while a slot is idle.
    pub(crate) fn parked(&self) -> Vec<Plan> {
        let plan = |(index, lane): (usize, &Lane)| Plan {
            index,
            queue: lane.queue.clone(),
            from: From::Cursor,
            cursor: lane.cursor.clone(),
        };
        self.lanes.iter().enumerate().map(plan).collect()
    }

    /// Whether a queue has needed a free slot for so long that the others have to let one become free: as long as they fill
    /// the buffer, there is none.
    fn is_starved(&self, now: Instant, idle: usize) -> bool {
        let longest = self.settings.head_interval;
        let is_starved = |since: Instant| now.saturating_duration_since(since) >= longest;
        idle == 0 && self.lanes.iter().any(|lane| lane.needs_slot.is_some_and(is_starved))
    }

    /// When to plan again if nothing happens.
    pub(crate) fn next_time(&self, now: Instant, idle: usize) -> Instant {
        let latest = later(now, self.settings.head_interval);
        if self.is_starved(now, idle) {
            return latest;
        }
        self.lanes.iter().map(|lane| lane.next_time(now, idle)).fold(latest, Instant::min)
    }

    /// The highest priority that a wake-up told of since the last plan.
    pub(crate) const fn urgent(&self) -> Option<i16> {
        self.urgent
    }

    /// Learns which of the queues that were looked at have anything; `started` is when the look began.
    pub(crate) fn looked(
        &mut self,
        asked: &[QueueName],
        reply: &ReadyQueuesReply,
        started: Instant,
        now: Instant,
    ) {
        let (asked, named): (HashSet<_>, HashSet<_>) =
            (asked.iter().collect(), reply.queues.iter().collect());
        let cost = now.saturating_duration_since(started);
        for lane in self.lanes.iter_mut().filter(|lane| asked.contains(&lane.queue)) {
            if named.contains(&lane.queue) {
                lane.is_named = true;
            } else {
                lane.looked(cost, reply.next_due, now, &self.settings);
            }
        }
    }

    /// Learns what a claim brought.
    pub(crate) fn claimed(&mut self, plan: &Plan, brought: Brought, started: Instant, now: Instant) {
        let settings = &self.settings;
        let lane = &mut self.lanes[plan.index];
        lane.hot = brought.more != More::No;
        lane.needs_slot = (brought.more == More::WhenSlotFree).then(|| lane.needs_slot.unwrap_or(now));
        lane.has_news = false;
        lane.is_named = false;
        lane.due = lane.due_from(brought.next_due, now);
        if plan.from != From::Cursor {
            lane.look_back_at = later(now, settings.look_back_interval);
        }
        if brought.jobs > 0 {
            lane.active_until = later(now, settings.look_back);
        }
        if plan.from == From::Head || plan.cursor.is_none() {
            lane.head_looked_at(now.saturating_duration_since(started), now, settings);
            let older = lane.cursor.take();
            lane.cursor = brought.cursor;
            if let (Some(reached), Some(older)) = (&mut lane.cursor, older) {
                reached.keep_passed(&older, brought.more != More::No);
            }
        } else {
            // An empty claim behind a cursor does not mean an empty queue.
            lane.head_wanted |= brought.more == More::No;
            if let (Some(kept), Some(reached)) = (&mut lane.cursor, brought.cursor) {
                kept.merge(&reached);
            }
        }
    }

    /// A claim failed and changed nothing that is known: look again from the head.
    pub(crate) fn failed(&mut self, plan: &Plan, now: Instant) {
        let lane = &mut self.lanes[plan.index];
        lane.head_wanted = true;
        lane.head_allowed = now;
    }

    /// Takes in what the backend announced.
    pub(crate) fn wake(&mut self, wakes: &Wakes, now: Instant) {
        for hint in &wakes.ready {
            self.hint(hint, now);
        }
        if let Some(wait) = wakes.due_in {
            self.due_in(wait, now);
        }
        if wakes.unknown {
            self.look_everywhere(now);
        }
    }

    /// Some job, nobody knows of which queue, is due after `wait`.
    pub(crate) fn due_in(&mut self, wait: Duration, now: Instant) {
        let at = later(now, wait);
        for lane in &mut self.lanes {
            lane.due = Some(lane.due.map_or(at, |due| due.min(at)));
        }
    }

    /// Anything may be anywhere.
    pub(crate) fn look_everywhere(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            lane.has_news = true;
            lane.head_wanted = true;
            lane.look_back_at = now;
            lane.active_until = later(now, self.settings.look_back);
        }
    }

    fn hint(&mut self, hint: &Hint, now: Instant) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.queue == hint.queue) else { return };
        lane.has_news = true;
        lane.hot = true;
        lane.active_until = later(now, self.settings.look_back);
        if let Some(cursor) = &mut lane.cursor {
            cursor.rewind(hint.priority, hint.run_at);
        }
        self.urgent = self.urgent.max(Some(hint.priority));
    }
}

#[cfg(test)]
mod tests;
