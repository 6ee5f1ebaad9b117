//! Claims of idle workers, which wait for the jobs that are enqueued on the same queue.
//!
//! A worker that finds nothing to do *parks* a claim. The next enqueue of a job that the claim
//! would take sends the claim with its insert, so that one commit and one round trip replace two. A
//! job that arrives otherwise, or in a large batch, wakes the worker, which then withdraws its
//! claim.

mod insert;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use self::insert::{InsertUnderWay, TakenClaim};
use crate::backend::{ClaimReply, ClaimRequest};
use crate::poison::ignore_poison;
use crate::{JobSpec, Result};

/// The most that may be enqueued at once with a parked claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchSize {
    /// How many jobs.
    pub(crate) jobs: usize,
    /// How many bytes their payloads have together.
    pub(crate) bytes: usize,
}

impl BatchSize {
    /// Whether these jobs are no more than that.
    fn has_room_for(self, jobs: &[JobSpec]) -> bool {
        let mut bytes = jobs.iter().map(|job| job.payload.as_bytes().len());
        jobs.len() <= self.jobs && bytes.try_fold(self.bytes, usize::checked_sub).is_some()
    }
}

/// How much a worker can take at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// The most jobs.
    pub(crate) limit: u32,
    /// The most jobs on their last permitted attempt.
    pub(crate) last_attempts: u32,
}

/// Keeps the claims that idle workers left at a queue.
#[derive(Clone, Default)]
pub(crate) struct ParkedClaims(Arc<Mutex<Places>>);

#[derive(Default)]
struct Places {
    next: u64,
    /// In the order in which they came.
    occupied: Vec<Place>,
}

struct Place {
    number: u64,
    requests: Vec<ClaimRequest>,
    most: BatchSize,
    room: Box<dyn Fn() -> Room + Send>,
    worker: oneshot::Sender<InsertUnderWay>,
}

impl Place {
    /// The request that would take one of the jobs, of which those with a time of their own may not
    /// be due.
    fn wanting(&self, jobs: &[JobSpec]) -> Option<&ClaimRequest> {
        self.requests.iter().find(|request| {
            let is_wanted = |job: &JobSpec| job.queue == request.queue && request.kinds.contains(&job.kind);
            jobs.iter().any(|job| job.run_at.is_none() && is_wanted(job))
        })
    }
}

impl ParkedClaims {
    /// Parks a claim: one request per queue, of which one insert makes one. Inserts of more than
    /// `most` do not take it.
    ///
    /// An insert calls `room` before it takes the claim, on the enqueuer's thread and under a lock.
    /// The result caps the limits of the request; without room the claim stays parked. Neither the
    /// call nor its drop may block, or call this type.
    pub(crate) fn park(
        &self,
        requests: Vec<ClaimRequest>,
        most: BatchSize,
        room: impl Fn() -> Room + Send + 'static,
    ) -> ParkedClaim {
        let (worker, taken) = oneshot::channel();
        let mut places = self.lock();
        let number = places.next;
        places.next += 1;
        places.occupied.push(Place { number, requests, most, room: Box::new(room), worker });
        ParkedClaim { parking: self.clone(), number, stage: Stage::Parked(taken) }
    }

    /// For a queue that is about to insert `jobs`: the first claim that would take one of them.
    fn take(&self, jobs: &[JobSpec]) -> Option<TakenClaim> {
        let mut places = self.lock();
        let (index, mut request, room) = places.occupied.iter().enumerate().find_map(|(index, place)| {
            let request = place.most.has_room_for(jobs).then(|| place.wanting(jobs))??;
            let room = (place.room)();
            (room.limit > 0).then(|| (index, request.clone(), room))
        })?;
        let Place { worker, .. } = places.occupied.remove(index);
        request.limit = request.limit.min(room.limit);
        request.last_attempts = request.last_attempts.min(room.last_attempts);
        Some(TakenClaim::new(request, worker))
    }

    /// How many are parked.
    fn count(&self) -> usize {
        self.lock().occupied.len()
    }

    /// Whether the claim was still there.
    fn remove(&self, number: u64) -> bool {
        let mut places = self.lock();
        let before = places.occupied.len();
        places.occupied.retain(|place| place.number != number);
        places.occupied.len() < before
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        ignore_poison(self.0.lock())
    }
}

impl fmt::Debug for ParkedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParkedClaims({})", self.count())
    }
}

/// What came of a parked claim that was made.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The request, as it was made.
    pub(crate) request: ClaimRequest,
    /// As [`claim`](crate::Backend::claim) would have answered.
    pub(crate) reply: Result<ClaimReply>,
}

/// The worker's side of a claim that it parked. Dropped, the claim is withdrawn; if it is being
/// made at that moment, its leases are found by [`leases`](crate::Backend::leases), or by the
/// worker's expiry.
#[derive(Debug)]
pub(crate) struct ParkedClaim {
    parking: ParkedClaims,
    number: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Parked(oneshot::Receiver<InsertUnderWay>),
    Made(InsertUnderWay),
    Over,
}

impl ParkedClaim {
    /// Waits until the claim was made; `None` if nothing came of it. It is parked no longer then.
    ///
    /// # Cancellation
    /// Nothing is lost when this future is dropped.
    pub(crate) async fn answered(&mut self) -> Option<Answer> {
        if let Stage::Parked(taken) = &mut self.stage {
            self.stage = taken.await.map_or(Stage::Over, Stage::Made);
        }
        let Stage::Made(insert) = &mut self.stage else { return None };
        let answer = insert.answer().await;
        self.stage = Stage::Over;
        answer
    }

    /// Takes the claim back. If it is being made at this moment, waits for its answer.
    ///
    /// # Cancellation
    /// The claim is withdrawn when this future is dropped, or its answer is lost.
    pub(crate) async fn withdraw(mut self) -> Option<Answer> {
        if self.parking.remove(self.number) { None } else { self.answered().await }
    }
}

impl Drop for ParkedClaim {
    fn drop(&mut self) {
        self.parking.remove(self.number);
    }
}

#[cfg(test)]
mod tests;
