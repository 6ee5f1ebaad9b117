//! From which moment on a lease can have been taken back.
//!
//! A rescue may take a lease if the expiry of its worker has passed by the time of the rescue, or
//! the deadline of the lease has. A worker that is answered is not given up yet.

use std::collections::HashMap;
use std::time::Duration;

use queue_core::{ClaimId, Timestamp, WorkerId};

use super::event::{Answered, Asked, Claim, Failure, Leased, Micros};
use super::log::Operation;
use super::order::NEVER;

/// The backend's own clock may run faster than that of this machine, by this factor at most.
const SLOWEST: f64 = 0.95;

/// A rescue that may have taken something.
struct Rescue {
    asked: Duration,
    /// [`NEVER`] if it may still take effect.
    answered: Duration,
    now: Option<Micros>,
}

/// A time that must have passed: as a request states it, or by the clock of this machine.
enum Due {
    Stated(Timestamp),
    Own(Duration),
}

impl Due {
    fn after(now: Option<Micros>, asked: Duration, wait: Duration) -> Self {
        match now {
            Some(now) => Self::Stated(now.time().saturating_add(wait)),
            None => Self::Own(asked.saturating_add(wait.mul_f64(SLOWEST))),
        }
    }

    /// Whether the time has passed for this rescue. Times of different clocks say nothing.
    fn may_have_passed(&self, rescue: &Rescue) -> bool {
        match (self, rescue.now) {
            (Self::Stated(due), Some(now)) => *due <= now.time(),
            (Self::Own(due), None) => *due <= rescue.answered,
            (Self::Stated(_), None) | (Self::Own(_), Some(_)) => true,
        }
    }
}

/// The signs of life of a worker.
#[derive(Default)]
struct Life {
    expiry: Option<Duration>,
    /// The requests that were answered.
    beats: Vec<(Option<Micros>, Duration)>,
}

impl Life {
    /// From when on the worker can have been given up. Later rescues need no new reason.
    fn given_up_from(&self, rescues: &[Rescue]) -> Duration {
        let Some(expiry) = self.expiry else { return Duration::ZERO };
        let dues = self.beats.iter().map(|&(now, asked)| Due::after(now, asked, expiry));
        let dues: Vec<Due> = latest(dues);
        let alive = self.beats.iter().map(|(_, asked)| *asked).max().unwrap_or_default();
        let is_due =
            |rescue: &&Rescue| alive <= rescue.answered && dues.iter().all(|due| due.may_have_passed(rescue));
        let first = rescues.iter().filter(is_due).map(|rescue| rescue.asked).min();
        first.map_or(NEVER, |first| first.max(alive))
    }
}

/// The latest by each clock.
fn latest(dues: impl Iterator<Item = Due>) -> Vec<Due> {
    let (mut stated, mut own) = (None, None);
    for due in dues {
        match due {
            Due::Stated(due) => stated = stated.max(Some(due)),
            Due::Own(due) => own = own.max(Some(due)),
        }
    }
    stated.map(Due::Stated).into_iter().chain(own.map(Due::Own)).collect()
}

/// For each claim, the moment from which on its leases can have been taken back.
pub(super) fn lost_from(operations: &[Operation]) -> HashMap<ClaimId, Duration> {
    let rescues: Vec<Rescue> = operations.iter().filter_map(rescue).collect();
    let given_up: HashMap<WorkerId, Duration> =
        lives(operations).into_iter().map(|(worker, life)| (worker, life.given_up_from(&rescues))).collect();
    let mut lost = HashMap::new();
    for operation in operations {
        let Some((claim, jobs)) = claim(operation) else { continue };
        let timeout = jobs.iter().map(|leased| leased.timeout).min().unwrap_or_default();
        let due = Due::after(claim.now, operation.asked_at, timeout.saturating_add(claim.grace));
        let overdue = rescues.iter().filter(|rescue| due.may_have_passed(rescue));
        let overdue = overdue.map(|rescue| rescue.asked).min().unwrap_or(NEVER);
        let given_up = given_up.get(&claim.worker).copied().unwrap_or_default();
        let from = overdue.min(given_up);
        lost.entry(claim.claim).and_modify(|lost: &mut Duration| *lost = from.min(*lost)).or_insert(from);
    }
    lost
}

fn lives(operations: &[Operation]) -> HashMap<WorkerId, Life> {
    let mut lives: HashMap<WorkerId, Life> = HashMap::new();
    for operation in operations {
        let (worker, now) = match operation.asked {
            Asked::Register { worker, now, expiry } => {
                let life = lives.entry(worker).or_default();
                life.expiry = life.expiry.min(Some(expiry)).or(Some(expiry));
                (worker, now)
            }
            Asked::Heartbeat { worker, now } => (worker, now),
            _ => continue,
        };
        if matches!(operation.answered(), Some(Answered::Done)) {
            lives.entry(worker).or_default().beats.push((now, operation.asked_at));
        }
    }
    lives
}

fn rescue(operation: &Operation) -> Option<Rescue> {
    let Asked::Maintain { now, rescues: true, .. } = operation.asked else { return None };
    let answered = match &operation.answer {
        None | Some((_, Answered::Failed(Failure::UnknownOutcome))) => NEVER,
        Some((_, Answered::Failed(_))) => return None,
        Some((at, _)) => *at,
    };
    Some(Rescue { asked: operation.asked_at, answered, now })
}

/// The claim that an operation makes, and the jobs that it is known to have taken.
fn claim(operation: &Operation) -> Option<(&Claim, &[Leased])> {
    match &operation.asked {
        Asked::Claim(claim) | Asked::Insert { claim: Some(claim), .. } => {
            Some((claim, operation.leases().map_or(&[], |(_, jobs)| jobs)))
        }
        _ => None,
    }
}
