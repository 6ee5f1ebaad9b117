//! Claims of idle workers, which wait for the jobs that are enqueued on the same queue.
//!
//! An idle worker *parks* a claim. The next enqueue of a matching job sends the claim with its
//! insert, so that one commit and one round trip replace two. Other jobs, and jobs in a large
//! batch, wake the worker, which then withdraws its claim.

mod insert;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use self::insert::{InsertUnderWay, TakenClaim};
use crate::backend::{ClaimReply, ClaimRequest};
use crate::poison::ignore_poison;
use crate::{JobSpec, Result};

/// The largest batch with which a parked claim is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchSize {
    /// The maximum number of jobs.
    pub(crate) jobs: usize,
    /// The maximum total size of their payloads in bytes.
    pub(crate) bytes: usize,
}

impl BatchSize {
    /// Returns whether these jobs are within the limits.
    fn has_room_for(self, jobs: &[JobSpec]) -> bool {
        let mut bytes = jobs.iter().map(|job| job.payload.as_bytes().len());
        jobs.len() <= self.jobs && bytes.try_fold(self.bytes, usize::checked_sub).is_some()
    }
}

/// How many jobs a worker can take now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// The maximum number of jobs.
    pub(crate) limit: u32,
    /// The maximum number of jobs on their last permitted attempt.
    pub(crate) last_attempts: u32,
}

/// Keeps the parked claims of one queue.
#[derive(Clone, Default)]
pub(crate) struct ParkedClaims(Arc<Mutex<ParkedList>>);

#[derive(Default)]
struct ParkedList {
    next: u64,
    /// In the order in which they were parked.
    entries: Vec<ParkedEntry>,
}

struct ParkedEntry {
    number: u64,
    requests: Vec<ClaimRequest>,
    most: BatchSize,
    room: Box<dyn Fn() -> Room + Send>,
    worker: oneshot::Sender<InsertUnderWay>,
}

impl ParkedEntry {
    /// Returns the request that would take one of the jobs. Jobs with a `run_at` do not count,
    /// because they may not be due.
    fn matching_request(&self, jobs: &[JobSpec]) -> Option<&ClaimRequest> {
        self.requests.iter().find(|request| {
            let is_match = |job: &JobSpec| job.queue == request.queue && request.kinds.contains(&job.kind);
            jobs.iter().any(|job| job.run_at.is_none() && is_match(job))
        })
    }
}

impl ParkedClaims {
    /// Parks a claim with one request per queue. One insert sends one of them. Inserts of more than
    /// `most` do not take the claim.
    ///
    /// An insert calls `room` before it takes the claim, on the enqueuer's thread and under a lock.
    /// The result caps the limits of the request. Without room, the claim stays parked. Neither the
    /// call nor the drop of `room` may block or call this type.
    pub(crate) fn park(
        &self,
        requests: Vec<ClaimRequest>,
        most: BatchSize,
        room: impl Fn() -> Room + Send + 'static,
    ) -> ParkedClaim {
        let (worker, taken) = oneshot::channel();
        let mut list = self.lock();
        let number = list.next;
        list.next += 1;
        list.entries.push(ParkedEntry { number, requests, most, room: Box::new(room), worker });
        ParkedClaim { parking: self.clone(), number, state: ParkedState::Parked(taken) }
    }

    /// Takes the first claim that would take one of these jobs, which are about to be inserted.
    fn take(&self, jobs: &[JobSpec]) -> Option<TakenClaim> {
        let mut list = self.lock();
        let (index, mut request, room) = list.entries.iter().enumerate().find_map(|(index, entry)| {
            let request = entry.most.has_room_for(jobs).then(|| entry.matching_request(jobs))??;
            let room = (entry.room)();
            (room.limit > 0).then(|| (index, request.clone(), room))
        })?;
        let ParkedEntry { worker, .. } = list.entries.remove(index);
        request.limit = request.limit.min(room.limit);
        request.last_attempts = request.last_attempts.min(room.last_attempts);
        Some(TakenClaim::new(request, worker))
    }

    /// Returns the number of parked claims.
    fn count(&self) -> usize {
        self.lock().entries.len()
    }

    /// Removes a claim. Returns whether it was still parked.
    fn remove(&self, number: u64) -> bool {
        let mut list = self.lock();
        let before = list.entries.len();
        list.entries.retain(|entry| entry.number != number);
        list.entries.len() < before
    }

    fn lock(&self) -> MutexGuard<'_, ParkedList> {
        ignore_poison(self.0.lock())
    }
}

impl fmt::Debug for ParkedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParkedClaims({})", self.count())
    }
}

/// The result of a parked claim that was sent.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The request that was sent.
    pub(crate) request: ClaimRequest,
    /// The reply, as [`claim`](crate::Backend::claim) would return it.
    pub(crate) reply: Result<ClaimReply>,
}

/// The worker's handle on a claim that it parked. Dropping it withdraws the claim. If an insert is
/// sending the claim at that moment, [`leases`](crate::Backend::leases) or a rescue finds its jobs.
#[derive(Debug)]
pub(crate) struct ParkedClaim {
    parking: ParkedClaims,
    number: u64,
    state: ParkedState,
}

#[derive(Debug)]
enum ParkedState {
    Parked(oneshot::Receiver<InsertUnderWay>),
    Inserting(InsertUnderWay),
    Done,
}

impl ParkedClaim {
    /// Waits until an insert has sent the claim. `None` if the insert did not make it. Afterwards
    /// the claim is no longer parked.
    ///
    /// # Cancellation
    /// If this future is dropped, the answer is kept for the next call.
    pub(crate) async fn answered(&mut self) -> Option<Answer> {
        if let ParkedState::Parked(taken) = &mut self.state {
            self.state = taken.await.map_or(ParkedState::Done, ParkedState::Inserting);
        }
        let ParkedState::Inserting(insert) = &mut self.state else { return None };
        let answer = insert.answer().await;
        self.state = ParkedState::Done;
        answer
    }

    /// Withdraws the claim. If an insert is sending it at this moment, waits for the answer.
    ///
    /// # Cancellation
    /// If this future is dropped, the claim is withdrawn, or its answer is lost.
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
