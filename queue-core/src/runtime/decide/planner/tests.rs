//! What the planner decides, step by step and for any order of events.

use proptest::prelude::*;

use super::*;
use crate::{JobId, Timestamp};

const MILLI: Duration = Duration::from_millis(1);

fn planner(now: Instant) -> Planner {
    Planner::new(vec![QueueName::default()], WorkerSettings::default(), now)
}

/// Of two queues, the first of which has nothing but a job on its last attempt, while all slots are taken; the second has more than
/// enough.
fn planner_of_two(now: Instant) -> Planner {
    let mut planner = Planner::new(vec![QueueName::default(), other()], WorkerSettings::default(), now);
    let first = planner.plan(now, 0).unwrap();
    planner.claimed(&first, brought(0, More::WhenSlotFree), now, now);
    claim_of_other(&mut planner, now);
    planner
}

fn other() -> QueueName {
    QueueName::new("other").unwrap()
}

fn claim_of_other(planner: &mut Planner, now: Instant) {
    let plan = planner.plan(now, 0).unwrap();
    assert_eq!(plan.queue, other());
    planner.claimed(&plan, brought(500, More::Yes), now, now);
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
fn what_is_told_of_a_queue_that_waits_for_a_slot_is_claimed_at_once() {
    let now = Instant::now();
    let mut planner = planner_of_two(now);
    claim_of_other(&mut planner, now);
    planner.wake(&hint(9, 0), now);
    let plan = planner.plan(now, 0).unwrap();
    assert_eq!((plan.queue.clone(), plan.from), (QueueName::default(), From::Cursor));
    planner.claimed(&plan, brought(1, More::WhenSlotFree), now, now);
    claim_of_other(&mut planner, now);
}

#[test]
fn a_queue_that_waits_for_a_slot_is_looked_at_from_the_head_as_often_as_any() {
    let start = Instant::now();
    let mut planner = planner(start);
    let head = planner.plan(start, 0).unwrap();
    let dear = start + MILLI * 300;
    planner.claimed(&head, brought(500, More::Yes), start, dear);
    let next = planner.plan(dear + MILLI * 9, 0).unwrap();
    assert_eq!(next.from, From::Cursor);
    planner.claimed(&next, brought(0, More::WhenSlotFree), dear + MILLI * 9, dear + MILLI * 9);
    assert!(planner.plan(dear + MILLI * 9, 0).is_none());
    let again = dear + WorkerSettings::default().head_interval;
    assert_eq!(planner.next_time(dear + MILLI * 9, 0), again);
    assert_eq!(planner.plan(again, 0).unwrap().from, From::Head);
}

#[test]
fn a_queue_that_has_needed_a_slot_for_long_gets_one() {
    let start = Instant::now();
    let mut planner = planner_of_two(start);
    let later = start + WorkerSettings::default().head_interval;
    claim_of_other(&mut planner, later - MILLI);
    assert!(planner.plan(later, 0).is_none(), "the buffer drains");
    assert!(planner.next_time(later, 0) > later);
    let plan = planner.plan(later, 1).unwrap();
    assert_eq!(plan.queue, QueueName::default());
    planner.claimed(&plan, brought(1, More::No), later, later);
    claim_of_other(&mut planner, later);
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

fn looked_at(step: Option<Step>) -> Vec<QueueName> {
    match step {
        Some(Step::Look(queues)) => queues,
        step => panic!("{step:?}"),
    }
}

#[test]
fn many_queues_are_looked_at_together_and_those_that_have_something_are_claimed_from() {
    let start = Instant::now();
    let names: Vec<QueueName> =
        (0..1000).map(|number| QueueName::new(format!("q{number}")).unwrap()).collect();
    let mut planner = Planner::new(names.clone(), WorkerSettings::default(), start);
    assert_eq!(looked_at(planner.next_step(start, 1)), names);
    let reply = ReadyQueuesReply::new(vec![names[7].clone(), names[9].clone()], Some(MILLI * 500));
    planner.looked(&names, &reply, start, start);
    for queue in [&names[7], &names[9]] {
        let Some(Step::Claim(plan)) = planner.next_step(start, 1) else { panic!("nothing is claimed") };
        assert_eq!((&plan.queue, plan.from), (queue, From::Head));
        planner.claimed(&plan, brought(0, More::No), start, start);
    }
    assert!(planner.next_step(start, 1).is_none());
    // A job of one of the others is due then, nobody knows of which.
    assert_eq!(planner.next_time(start, 1), start + MILLI * 500);
    assert_eq!(looked_at(planner.next_step(start + MILLI * 500, 1)).len(), 998);
    planner.looked(&names, &ReadyQueuesReply::default(), start + MILLI * 500, start + MILLI * 500);
    let Some(next) = (501..6000).find(|milli| planner.next_step(start + MILLI * *milli, 1).is_some()) else {
        panic!("they are never looked at again")
    };
    assert!(next >= 5000, "after {next} ms");
    // A wake-up of one is about that one.
    let mut planner = Planner::new(names.clone(), WorkerSettings::default(), start);
    planner.looked(&names, &ReadyQueuesReply::default(), start, start);
    let woken =
        Hint { queue: names[3].clone(), priority: 0, run_at: Timestamp::UNIX_EPOCH, due_in: Duration::ZERO };
    planner.wake(&Wakes { ready: vec![woken], ..Wakes::default() }, start);
    let Some(Step::Claim(plan)) = planner.next_step(start, 1) else { panic!("nothing is claimed") };
    assert_eq!(plan.queue, names[3]);
}
