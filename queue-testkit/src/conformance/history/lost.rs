//! Computes from when on a lease may have been rescued.
//!
//! A rescue may take a lease if its worker has expired, or the deadline of the lease has passed, by
//! the time of the rescue. A worker whose request succeeds is not lost at that time.

use std::collections::HashMap;
use std::time::Duration;

use queue_core::{ClaimId, Timestamp, WorkerId};

use super::event::{Answered, Asked, Claim, Failure, Leased, Micros};
use super::log::Operation;
use super::order::NEVER;

/// The backend's clock may run faster than the clock of this machine, at most by this factor.
const CLOCK_TOLERANCE: f64 = 0.95;

/// A rescue that may have rescued jobs.
struct Rescue {
    asked: Duration,
    /// [`NEVER`] if the rescue may still take effect.
    answered: Duration,
    now: Option<Micros>,
}

/// A time that must have passed: stated by a request, or on the clock of this machine.
enum Due {
    Stated(Timestamp),
    Own(Duration),
}

impl Due {
    fn after(now: Option<Micros>, asked: Duration, wait: Duration) -> Self {
        match now {
            Some(now) => Self::Stated(now.time().saturating_add(wait)),
            None => Self::Own(asked.saturating_add(wait.mul_f64(CLOCK_TOLERANCE))),
        }
    }

    /// From when on this rescue may have found the time passed; [`NEVER`] if it cannot have. Times
    /// of different clocks cannot be compared, so that any moment of the rescue is possible.
    fn passed_from(&self, rescue: &Rescue) -> Duration {
        match (self, rescue.now) {
            (Self::Stated(due), Some(now)) if *due > now.time() => NEVER,
            (Self::Own(due), None) if *due > rescue.answered => NEVER,
            // A rescue without an answer may take effect at any time, but not before this one.
            (Self::Own(due), None) => rescue.asked.max(*due),
            _ => rescue.asked,
        }
    }
}

/// The expiry and the heartbeats of a worker.
#[derive(Default)]
struct WorkerHistory {
    expiry: Option<Duration>,
    /// The stated time and the request time of each registration and heartbeat that succeeded.
    heartbeats: Vec<(Option<Micros>, Duration)>,
}

impl WorkerHistory {
    /// From when on the worker may be lost. The rescue that may have found it expired at the
    /// earliest time decides.
    fn lost_from(&self, rescues: &[Rescue]) -> Duration {
        let Some(expiry) = self.expiry else { return Duration::ZERO };
        let dues = self.heartbeats.iter().map(|&(now, asked)| Due::after(now, asked, expiry));
        let dues: Vec<Due> = latest(dues);
        let last_heartbeat = self.heartbeats.iter().map(|(_, asked)| *asked).max().unwrap_or_default();
        let expired_from = |rescue: &Rescue| {
            let passed = dues.iter().map(|due| due.passed_from(rescue)).max();
            passed.unwrap_or(rescue.asked).max(last_heartbeat)
        };
        let rescues = rescues.iter().filter(|rescue| last_heartbeat <= rescue.answered);
        rescues.map(expired_from).min().unwrap_or(NEVER)
    }
}

/// The latest time of each clock.
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

/// For each claim, the time from which on its leases may have been rescued.
pub(super) fn lost_from(operations: &[Operation]) -> HashMap<ClaimId, Duration> {
    let rescues: Vec<Rescue> = operations.iter().filter_map(rescue).collect();
    let worker_lost_from: HashMap<WorkerId, Duration> = worker_histories(operations)
        .into_iter()
        .map(|(worker, history)| (worker, history.lost_from(&rescues)))
        .collect();
    let mut lost = HashMap::new();
    for operation in operations {
        let Some((claim, jobs)) = claim(operation) else { continue };
        let timeout = jobs.iter().map(|leased| leased.timeout).min().unwrap_or_default();
        let due = Due::after(claim.now, operation.asked_at, timeout.saturating_add(claim.grace));
        let overdue = rescues.iter().map(|rescue| due.passed_from(rescue)).min().unwrap_or(NEVER);
        let worker_lost_from = worker_lost_from.get(&claim.worker).copied().unwrap_or_default();
        let from = overdue.min(worker_lost_from).max(operation.asked_at);
        lost.entry(claim.claim).and_modify(|lost: &mut Duration| *lost = from.min(*lost)).or_insert(from);
    }
    lost
}

fn worker_histories(operations: &[Operation]) -> HashMap<WorkerId, WorkerHistory> {
    let mut worker_histories: HashMap<WorkerId, WorkerHistory> = HashMap::new();
    for operation in operations {
        let (worker, now) = match operation.asked {
            Asked::Register { worker, now, expiry } => {
                let history = worker_histories.entry(worker).or_default();
                history.expiry = history.expiry.min(Some(expiry)).or(Some(expiry));
                (worker, now)
            }
            Asked::Heartbeat { worker, now } => (worker, now),
            _ => continue,
        };
        if matches!(operation.answered(), Some(Answered::Done)) {
            worker_histories.entry(worker).or_default().heartbeats.push((now, operation.asked_at));
        }
    }
    worker_histories
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

/// The claim of an operation, and the jobs that it is known to have claimed.
fn claim(operation: &Operation) -> Option<(&Claim, &[Leased])> {
    match &operation.asked {
        Asked::Claim(claim) | Asked::Insert { claim: Some(claim), .. } => {
            Some((claim, operation.leases().map_or(&[], |(_, jobs)| jobs)))
        }
        _ => None,
    }
}
