//! The planner, step by step and for any order of events.

use proptest::prelude::*;

use super::*;
use crate::Timestamp;
use crate::backend::Hint;

const MILLI: Duration = Duration::from_millis(1);

fn planner(now: Instant) -> Planner {
    Planner::new(vec![QueueName::default()], WorkerSettings::default(), now)
}

/// A planner of two queues while all slots are taken. The first has only a job on its final
/// attempt; the second has more than enough.
fn planner_of_two(now: Instant) -> Planner {
    let mut planner = Planner::new(vec![QueueName::default(), other()], WorkerSettings::default(), now);
    let first = planner.plan(now, 0).unwrap();
    planner.claimed(&first, &outcome(MoreJobs::WhenSlotFree), now);
    claim_of_other(&mut planner, now);
    planner
}

fn other() -> QueueName {
    QueueName::new("other").unwrap()
}

fn claim_of_other(planner: &mut Planner, now: Instant) {
    let plan = planner.plan(now, 0).unwrap();
    assert_eq!(plan.queue, other());
    planner.claimed(&plan, &outcome(MoreJobs::Yes), now);
}

fn outcome(more: MoreJobs) -> ClaimOutcome {
    ClaimOutcome { has_jobs: false, more, next_due: None }
}

fn hint(priority: i16, micros: i64) -> Wakes {
    let run_at = Timestamp::from_micros(micros).unwrap();
    let queue = QueueName::default();
    Wakes { ready: vec![Hint { queue, priority, run_at, due_in: Duration::ZERO }], ..Wakes::default() }
}

#[test]
fn queue_is_claimed_until_a_claim_is_not_full() {
    let now = Instant::now();
    let mut planner = planner(now);
    for more in [MoreJobs::Yes, MoreJobs::Yes, MoreJobs::No] {
        let plan = planner.plan(now, 1).unwrap();
        planner.claimed(&plan, &outcome(more), now);
    }
    assert!(planner.plan(now, 1).is_none());
}

#[test]
fn idle_queue_is_claimed_after_the_poll_interval() {
    let start = Instant::now();
    let mut planner = planner(start);
    let first = planner.plan(start, 1).unwrap();
    planner.claimed(&first, &outcome(MoreJobs::No), start);
    assert!(planner.plan(start + Duration::from_millis(4999), 1).is_none());
    assert_eq!(planner.next_time(start, 1), start + Duration::from_secs(5));
    assert!(planner.plan(start + Duration::from_secs(5), 1).is_some());
}

#[test]
fn queue_is_polled_more_often_after_a_job() {
    let start = Instant::now();
    let mut planner = planner(start);
    let plan = planner.plan(start, 1).unwrap();
    planner.claimed(&plan, &ClaimOutcome { has_jobs: true, ..outcome(MoreJobs::No) }, start);
    let times: Vec<_> = (1..).map(|poll| start + MILLI * 100 * poll).take(19).collect();
    for time in times {
        assert_eq!(planner.next_time(time - MILLI, 1), time);
        let plan = planner.plan(time, 1).unwrap();
        planner.claimed(&plan, &outcome(MoreJobs::No), time);
    }
    assert_eq!(planner.next_time(start + MILLI * 2000, 1), start + Duration::from_secs(5));
}

#[test]
fn claims_between_polls_do_not_postpone_them() {
    let start = Instant::now();
    let mut planner = planner(start);
    let plan = planner.plan(start, 1).unwrap();
    planner.claimed(&plan, &outcome(MoreJobs::No), start);
    let woken = start + Duration::from_secs(4);
    planner.wake(&hint(0, 4), woken);
    let plan = planner.plan(woken, 1).unwrap();
    planner.claimed(&plan, &outcome(MoreJobs::No), woken);
    assert!(planner.plan(start + Duration::from_secs(5), 1).is_some());
}

#[test]
fn wake_up_is_claimed_at_once() {
    let now = Instant::now();
    for unknown in [false, true] {
        let mut planner = planner(now);
        let first = planner.plan(now, 1).unwrap();
        planner.claimed(&first, &outcome(MoreJobs::No), now);
        planner.wake(&if unknown { Wakes { unknown, ..Wakes::default() } } else { hint(7, 4) }, now);
        assert_eq!(planner.urgent(), (!unknown).then_some(7));
        assert!(planner.plan(now, 1).is_some());
    }
}

#[test]
fn final_attempt_waits_for_a_free_slot() {
    let start = Instant::now();
    let mut planner = planner(start);
    let head = planner.plan(start, 0).unwrap();
    planner.claimed(&head, &outcome(MoreJobs::WhenSlotFree), start);
    assert!(planner.plan(start, 0).is_none());
    assert!(planner.plan(start, 1).is_some());
}

#[test]
fn wake_up_of_a_queue_without_slot_is_claimed() {
    let now = Instant::now();
    let mut planner = planner_of_two(now);
    claim_of_other(&mut planner, now);
    planner.wake(&hint(9, 0), now);
    let plan = planner.plan(now, 0).unwrap();
    assert_eq!(plan.queue, QueueName::default());
    planner.claimed(&plan, &outcome(MoreJobs::WhenSlotFree), now);
    claim_of_other(&mut planner, now);
}

#[test]
fn queue_gets_a_slot_after_the_poll_interval() {
    let start = Instant::now();
    let mut planner = planner_of_two(start);
    let later = start + WorkerSettings::default().poll_interval;
    claim_of_other(&mut planner, later - MILLI);
    assert!(planner.plan(later, 0).is_none(), "the buffer drains");
    assert!(planner.next_time(later, 0) > later);
    let plan = planner.plan(later, 1).unwrap();
    assert_eq!(plan.queue, QueueName::default());
    planner.claimed(&plan, &outcome(MoreJobs::No), later);
    claim_of_other(&mut planner, later);
}

#[test]
fn due_job_is_claimed_when_due() {
    let start = Instant::now();
    let mut planner = planner(start);
    let head = planner.plan(start, 1).unwrap();
    let scheduled = ClaimOutcome { next_due: Some(MILLI * 300), ..outcome(MoreJobs::No) };
    planner.claimed(&head, &scheduled, start);
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
        planner.claimed(&plan, &outcome(MoreJobs::Yes), now);
        plan.queue
    };
    let order: Vec<_> = (0..6).map(|_| turn()).collect();
    assert_eq!(order, [&names[..], &names[..]].concat());
}

/// An event for a planner.
#[derive(Debug, Clone)]
enum Event {
    Pass(u64),
    Hint(i16, i64),
    Unknown,
    DueIn(u64),
    Claim { more: usize, cost: u64, due: Option<u64> },
    Fail,
}

fn event() -> impl Strategy<Value = Event> {
    let claim = (0..3_usize, 0..400_u64, proptest::option::of(0..9000_u64));
    prop_oneof![
        (0..3000_u64).prop_map(Event::Pass),
        (-2..3_i16, 0..20_000_000_i64).prop_map(|(priority, at)| Event::Hint(priority, at)),
        Just(Event::Unknown),
        (0..9000_u64).prop_map(Event::DueIn),
        claim.prop_map(|(more, cost, due)| Event::Claim { more, cost, due }),
        Just(Event::Fail),
    ]
}

/// Applies the event. Returns the time after it.
fn apply(planner: &mut Planner, event: &Event, now: Instant, idle: usize) -> Instant {
    match *event {
        Event::Pass(millis) => return now + Duration::from_millis(millis),
        Event::Hint(priority, at) => planner.wake(&hint(priority, at), now),
        Event::Unknown => planner.look_everywhere(now),
        Event::DueIn(millis) => planner.due_in(Duration::from_millis(millis), now),
        Event::Claim { more, cost, due } => {
            if let Some(plan) = planner.plan(now, idle) {
                let end = now + Duration::from_millis(cost);
                let more = [MoreJobs::No, MoreJobs::Yes, MoreJobs::WhenSlotFree][more];
                let next_due = due.map(Duration::from_millis);
                planner.claimed(&plan, &ClaimOutcome { next_due, ..outcome(more) }, end);
                return end;
            }
        }
        Event::Fail => {
            if let Some(plan) = planner.plan(now, idle) {
                planner.failed(&plan);
            }
        }
    }
    now
}

proptest! {
    /// Otherwise the claim loop would spin.
    #[test]
    fn planner_without_claim_names_a_later_time(
        events in proptest::collection::vec(event(), 1..60),
        idle in 0..2_usize,
    ) {
        let mut now = Instant::now();
        let mut planner = planner(now);
        for event in &events {
            now = apply(&mut planner, event, now, idle);
            if planner.plan(now, idle).is_none() {
                prop_assert!(planner.next_time(now, idle) > now);
            }
        }
    }
}

fn looked_at(step: Option<PlannerStep>) -> Vec<QueueName> {
    match step {
        Some(PlannerStep::Look(queues)) => queues,
        step => panic!("{step:?}"),
    }
}

#[test]
fn many_queues_are_looked_at_before_claims() {
    let start = Instant::now();
    let names: Vec<QueueName> =
        (0..1000).map(|number| QueueName::new(format!("q{number}")).unwrap()).collect();
    let mut planner = Planner::new(names.clone(), WorkerSettings::default(), start);
    assert_eq!(looked_at(planner.next_step(start, 1)), names);
    let reply = ReadyQueuesReply::new(vec![names[7].clone(), names[9].clone()], Some(MILLI * 500));
    planner.looked(&names, &reply, start);
    for queue in [&names[7], &names[9]] {
        let Some(PlannerStep::Claim(plan)) = planner.next_step(start, 1) else { panic!("no claim") };
        assert_eq!(&plan.queue, queue);
        planner.claimed(&plan, &outcome(MoreJobs::No), start);
    }
    assert!(planner.next_step(start, 1).is_none());
    // The due job is in a queue that is not known.
    assert_eq!(planner.next_time(start, 1), start + MILLI * 500);
    assert_eq!(looked_at(planner.next_step(start + MILLI * 500, 1)).len(), 998);
    planner.looked(&names, &ReadyQueuesReply::default(), start + MILLI * 500);
    let Some(next) = (501..6000).find(|milli| planner.next_step(start + MILLI * *milli, 1).is_some()) else {
        panic!("the queues are never looked at again")
    };
    assert!(next >= 5000, "after {next} ms");
    // A wake-up names its queue, so that no look is needed.
    let mut planner = Planner::new(names.clone(), WorkerSettings::default(), start);
    planner.looked(&names, &ReadyQueuesReply::default(), start);
    let woken =
        Hint { queue: names[3].clone(), priority: 0, run_at: Timestamp::UNIX_EPOCH, due_in: Duration::ZERO };
    planner.wake(&Wakes { ready: vec![woken], ..Wakes::default() }, start);
    let Some(PlannerStep::Claim(plan)) = planner.next_step(start, 1) else { panic!("no claim") };
    assert_eq!(plan.queue, names[3]);
}
