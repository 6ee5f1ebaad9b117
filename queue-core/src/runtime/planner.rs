//! Decides what to claim next: from which queue, and from where in it.

use std::time::{Duration, Instant};

use super::WorkerSettings;
use crate::QueueName;
use crate::backend::{Cursor, Hint, Wakes};

/// Claims from the head take at most this share of the time, unless `head_interval` has passed: one
/// part in so many.
const HEAD_SHARE: u32 = 20;

/// From where in a queue to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Head,
    Cursor,
    LookBack,
}

/// One claim to make.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    index: usize,
    pub(super) queue: QueueName,
    pub(super) from: From,
    pub(super) cursor: Option<Cursor>,
}

/// What a claim brought.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) jobs: usize,
    /// Whether there may be more behind the last job, for all the claim can tell.
    pub(super) more: More,
    pub(super) cursor: Option<Cursor>,
    pub(super) next_due: Option<Duration>,
}

/// Whether there may be more to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
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
pub(super) struct Planner {
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
    needs_slot: bool,
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
            needs_slot: false,
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
        if self.needs_slot && idle == 0 {
            None
        } else if self.head_at <= now || (self.head_allowed <= now && (self.head_wanted || due || looks_back))
        {
            Some(From::Head)
        } else if due || looks_back {
            Some(From::LookBack)
        } else if self.hot {
            Some(From::Cursor)
        } else {
            None
        }
    }

    /// When [`choose`](Self::choose) may answer otherwise, if nothing happens; `None` is never.
    fn next_time(&self, now: Instant, idle: usize) -> Option<Instant> {
        if self.needs_slot && idle == 0 {
            return None;
        }
        let mut next = self.head_at;
        if self.head_wanted {
            next = next.min(self.head_allowed);
        }
        if self.look_back_at.max(now) < self.active_until {
            next = next.min(self.look_back_at);
        }
        Some(self.due.map_or(next, |due| next.min(due)))
    }
}

impl Planner {
    pub(super) fn new(queues: Vec<QueueName>, settings: WorkerSettings, now: Instant) -> Self {
        let lanes = queues.into_iter().map(|queue| Lane::new(queue, now)).collect();
        Self { lanes, next: 0, urgent: None, settings }
    }

    /// What to claim now; `idle` slots have nothing to do. Queues take turns.
    pub(super) fn plan(&mut self, now: Instant, idle: usize) -> Option<Plan> {
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

    /// When to plan again if nothing happens.
    pub(super) fn next_time(&self, now: Instant, idle: usize) -> Instant {
        let latest = now + self.settings.head_interval;
        self.lanes.iter().filter_map(|lane| lane.next_time(now, idle)).fold(latest, Instant::min)
    }

    /// The highest priority that a wake-up told of since the last plan.
    pub(super) const fn urgent(&self) -> Option<i16> {
        self.urgent
    }

    /// Learns what a claim brought.
    pub(super) fn claimed(&mut self, plan: &Plan, brought: Brought, started: Instant, now: Instant) {
        let settings = &self.settings;
        let lane = &mut self.lanes[plan.index];
        lane.hot = brought.more != More::No;
        lane.needs_slot = brought.more == More::WhenSlotFree;
        lane.due = brought.next_due.and_then(|wait| now.checked_add(wait));
        if plan.from != From::Cursor {
            lane.look_back_at = now + settings.look_back_interval;
        }
        if brought.jobs > 0 {
            lane.active_until = now + settings.look_back;
        }
        if plan.from == From::Head || plan.cursor.is_none() {
            let cost = now.saturating_duration_since(started);
            lane.head_wanted = false;
            lane.head_allowed = now + (cost * HEAD_SHARE).min(settings.head_interval);
            lane.head_at = now + settings.head_interval;
            lane.cursor = brought.cursor;
        } else {
            // An empty claim behind a cursor does not mean an empty queue.
            lane.head_wanted |= brought.more == More::No;
            if let (Some(kept), Some(reached)) = (&mut lane.cursor, brought.cursor) {
                kept.merge(&reached);
            }
        }
    }

    /// A claim failed and changed nothing that is known: look again from the head.
    pub(super) fn failed(&mut self, plan: &Plan, now: Instant) {
        let lane = &mut self.lanes[plan.index];
        lane.head_wanted = true;
        lane.head_allowed = now;
    }

    /// Takes in what the backend announced.
    pub(super) fn wake(&mut self, wakes: &Wakes, now: Instant) {
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
    pub(super) fn due_in(&mut self, wait: Duration, now: Instant) {
        let Some(at) = now.checked_add(wait) else { return };
        for lane in &mut self.lanes {
            lane.due = Some(lane.due.map_or(at, |due| due.min(at)));
        }
    }

    /// Anything may be anywhere.
    pub(super) fn look_everywhere(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            lane.head_wanted = true;
            lane.look_back_at = now;
            lane.active_until = now + self.settings.look_back;
        }
    }

    fn hint(&mut self, hint: &Hint, now: Instant) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.queue == hint.queue) else { return };
        lane.hot = true;
        lane.active_until = now + self.settings.look_back;
        if let Some(cursor) = &mut lane.cursor {
            cursor.rewind(hint.priority, hint.run_at);
        }
        self.urgent = self.urgent.max(Some(hint.priority));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{JobId, Timestamp};

    const MILLI: Duration = Duration::from_millis(1);

    fn planner(now: Instant) -> Planner {
        Planner::new(vec![QueueName::default()], WorkerSettings::default(), now)
    }

    fn brought(jobs: usize, more: More) -> Brought {
        let mut cursor = Cursor::new();
        cursor.advance(0, (Timestamp::from_micros(10_000_000).unwrap(), JobId::generate()));
        Brought { jobs, more, cursor: Some(cursor), next_due: None }
    }

    fn hint(priority: i16, micros: i64) -> Wakes {
        let run_at = Timestamp::from_micros(micros).unwrap();
        let queue = QueueName::default();
        Wakes { ready: vec![Hint { queue, priority, run_at, due_in: Duration::ZERO }], ..Wakes::default() }
    }

    #[test]
    fn it_starts_at_the_head_goes_on_behind_the_cursor_and_ends_at_the_head() {
        let start = Instant::now();
        let mut planner = planner(start);
        let head = planner.plan(start, 1).unwrap();
        assert_eq!((head.from, &head.cursor), (From::Head, &None));
        planner.claimed(&head, brought(500, More::Yes), start, start + MILLI);
        let next = planner.plan(start + MILLI, 1).unwrap();
        assert_eq!(next.from, From::Cursor);
        assert!(next.cursor.is_some());
        planner.claimed(&next, brought(3, More::No), start + MILLI, start + MILLI);
        assert!(planner.plan(start + MILLI, 1).is_none(), "the head costs too much to look again at once");
        let last = planner.plan(start + MILLI * 21, 1).unwrap();
        assert_eq!(last.from, From::Head);
        planner.claimed(&last, brought(0, More::No), start + MILLI * 21, start + MILLI * 21);
        assert!(planner.plan(start + MILLI * 21, 1).is_none());
    }

    #[test]
    fn an_idle_queue_is_looked_at_from_the_head_at_the_latest_after_the_interval() {
        let start = Instant::now();
        let mut planner = planner(start);
        let head = planner.plan(start, 1).unwrap();
        planner.claimed(&head, brought(0, More::No), start, start);
        assert!(planner.plan(start + Duration::from_millis(4999), 1).is_none());
        assert_eq!(planner.next_time(start, 1), start + Duration::from_secs(5));
        assert_eq!(planner.plan(start + Duration::from_secs(5), 1).unwrap().from, From::Head);
    }

    #[test]
    fn a_wake_up_rewinds_the_cursor_to_its_job() {
        let start = Instant::now();
        let mut planner = planner(start);
        let head = planner.plan(start, 1).unwrap();
        planner.claimed(&head, brought(1, More::No), start, start + MILLI);
        planner.wake(&hint(0, 4), start + MILLI);
        assert_eq!(planner.urgent(), Some(0));
        let next = planner.plan(start + MILLI, 1).unwrap();
        let position = next.cursor.unwrap().position(0).unwrap();
        assert!(position.0 < Timestamp::from_micros(4).unwrap());
    }

    #[test]
    fn it_looks_back_while_the_head_is_too_dear() {
        let start = Instant::now();
        let mut planner = planner(start);
        let head = planner.plan(start, 1).unwrap();
        let dear = start + Duration::from_millis(200);
        planner.claimed(&head, brought(1, More::No), start, dear);
        assert!(planner.plan(dear, 1).is_none());
        let back = planner.plan(dear + MILLI * 100, 1).unwrap();
        assert_eq!(back.from, From::LookBack);
        let least = Timestamp::from_micros(8_000_000).unwrap();
        assert!(back.cursor.unwrap().position(0).unwrap().0 < least);
    }

    #[test]
    fn a_job_on_its_last_attempt_waits_for_a_slot() {
        let start = Instant::now();
        let mut planner = planner(start);
        let head = planner.plan(start, 0).unwrap();
        planner.claimed(&head, brought(0, More::WhenSlotFree), start, start);
        assert!(planner.plan(start, 0).is_none());
        assert!(planner.plan(start, 1).is_some());
    }

    #[test]
    fn what_is_due_is_claimed_then() {
        let start = Instant::now();
        let mut planner = planner(start);
        let head = planner.plan(start, 1).unwrap();
        let scheduled = Brought { next_due: Some(MILLI * 300), ..brought(0, More::No) };
        planner.claimed(&head, scheduled, start, start);
        assert_eq!(planner.next_time(start, 1), start + MILLI * 300);
        assert!(planner.plan(start + MILLI * 299, 1).is_none());
        assert!(planner.plan(start + MILLI * 300, 1).is_some());
    }

    #[test]
    fn queues_take_turns() {
        let now = Instant::now();
        let names = ["a", "b", "c"].map(|name| QueueName::new(name).unwrap());
        let mut planner = Planner::new(names.to_vec(), WorkerSettings::default(), now);
        let mut turn = || {
            let plan = planner.plan(now, 1).unwrap();
            planner.claimed(&plan, brought(500, More::Yes), now, now);
            plan.queue
        };
        let order: Vec<_> = (0..6).map(|_| turn()).collect();
        assert_eq!(order, [&names[..], &names[..]].concat());
    }

    /// One thing that happens to a planner.
    #[derive(Debug, Clone)]
    enum Event {
        Pass(u64),
        Hint(i16, i64),
        Unknown,
        DueIn(u64),
        Claim { jobs: usize, more: usize, cost: u64, due: Option<u64> },
        Fail,
    }

    fn event() -> impl Strategy<Value = Event> {
        let claim = (0..9_usize, 0..3_usize, 0..400_u64, proptest::option::of(0..9000_u64));
        prop_oneof![
            (0..3000_u64).prop_map(Event::Pass),
            (-2..3_i16, 0..20_000_000_i64).prop_map(|(priority, at)| Event::Hint(priority, at)),
            Just(Event::Unknown),
            (0..9000_u64).prop_map(Event::DueIn),
            claim.prop_map(|(jobs, more, cost, due)| Event::Claim { jobs, more, cost, due }),
            Just(Event::Fail),
        ]
    }

    /// Lets the event happen, and answers what time it is then.
    fn happen(planner: &mut Planner, event: &Event, now: Instant, idle: usize) -> Instant {
        match *event {
            Event::Pass(millis) => return now + Duration::from_millis(millis),
            Event::Hint(priority, at) => planner.wake(&hint(priority, at), now),
            Event::Unknown => planner.look_everywhere(now),
            Event::DueIn(millis) => planner.due_in(Duration::from_millis(millis), now),
            Event::Claim { jobs, more, cost, due } => {
                if let Some(plan) = planner.plan(now, idle) {
                    let end = now + Duration::from_millis(cost);
                    let more = [More::No, More::Yes, More::WhenSlotFree][more];
                    let next_due = due.map(Duration::from_millis);
                    planner.claimed(&plan, Brought { next_due, ..brought(jobs, more) }, now, end);
                    return end;
                }
            }
            Event::Fail => {
                if let Some(plan) = planner.plan(now, idle) {
                    planner.failed(&plan, now);
                }
            }
        }
        now
    }

    proptest! {
        /// Otherwise the claim loop would spin.
        #[test]
        fn whoever_has_nothing_to_claim_waits(
            events in proptest::collection::vec(event(), 1..60),
            idle in 0..2_usize,
        ) {
            let mut now = Instant::now();
            let mut planner = planner(now);
            for event in &events {
                now = happen(&mut planner, event, now, idle);
                if planner.plan(now, idle).is_none() {
                    prop_assert!(planner.next_time(now, idle) > now);
                }
            }
        }
    }
}
