//! Claims that wait at a handle for jobs to be entered through it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::{ClaimReply, ClaimRequest};
use crate::poison::ignore_poison;
use crate::{Error, ErrorKind, JobSpec, Result, Timestamp};

/// The most that may be entered at once with a parked claim. A backend may enter the jobs of several callers together: all of
/// them count, whatever their queues and kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize {
    /// How many jobs.
    pub jobs: usize,
    /// How many bytes their payloads have together.
    pub bytes: usize,
}

impl BatchSize {
    /// Any number of jobs of any size.
    pub const UNLIMITED: Self = Self { jobs: usize::MAX, bytes: usize::MAX };

    /// Whether these jobs are no more than that. Stops at the first that is too much.
    fn has_room_for<'a>(self, jobs: impl Iterator<Item = &'a JobSpec> + Clone) -> bool {
        let mut bytes = jobs.clone().map(|job| job.payload.as_bytes().len());
        jobs.take(self.jobs.saturating_add(1)).count() <= self.jobs
            && bytes.try_fold(self.bytes, usize::checked_sub).is_some()
    }
}

/// How much a worker can take at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// The most jobs.
    pub limit: u32,
    /// The most jobs on their last permitted attempt.
    pub last_attempts: u32,
}

/// Keeps the claims that idle workers left at a handle of a backend.
///
/// A worker that finds nothing to do *parks* a claim. Whoever enters a job through the same handle that it would take
/// has the backend make the claim in the transaction of the insert: one commit and one round trip where there were two, and
/// nobody else needs to be told of the job. Jobs that come by other ways, or in a great batch, wake the worker as always, and
/// it withdraws its claim.
///
/// # To be correct
/// A backend that has one ([`Backend::parking`](super::Backend::parking)), in its `insert`:
/// - [`take`](Self::take)s a claim before it enters the jobs, and enters them whatever the claim is refused for;
/// - holds it where the work is done rather than in the future of whoever enqueues, which may be dropped, and does not wait
///   for others with it: the worker does nothing else meanwhile;
/// - makes it as if [`claim`](super::Backend::claim) had been called after the jobs were entered, so that jobs which are there
///   already may come first;
/// - wakes subscribers as always for those of the jobs that the claim did not take;
/// - answers the claim once it is committed, or [`decline`](TakenClaim::decline)s it if nothing came of it.
///
/// A backend that wraps another one keeps claims of its own and [passes them on](TakenClaim::pass_on): those that are parked at the
/// other one go by its `claim`.
///
/// ```
/// use queue_core::backend::{BatchSize, ClaimRequest, ParkedClaims, Room};
/// use queue_core::{ClaimId, Kind, QueueName, WorkerId};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let parking = ParkedClaims::new();
/// let kinds: Vec<Kind> = vec!["send-email".parse()?];
/// let request = ClaimRequest::new(WorkerId::generate(), ClaimId::generate()?, QueueName::default(), kinds, 8);
/// let parked = parking.park(vec![request], BatchSize::UNLIMITED, || Room { limit: 3, last_attempts: 3 });
/// assert!(parked.withdraw().await.is_none(), "nobody entered a job");
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct ParkedClaims(Arc<Mutex<Places>>);

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
    answer: oneshot::Sender<Option<Answer>>,
}

impl Place {
    /// The request that would take one of the jobs.
    fn wanting<'a>(
        &self,
        jobs: &(impl Iterator<Item = &'a JobSpec> + Clone),
        now: Option<Timestamp>,
    ) -> Option<&ClaimRequest> {
        let is_ready = |job: &JobSpec| job.run_at.is_none_or(|run_at| now.is_some_and(|now| run_at <= now));
        self.requests.iter().find(|request| {
            let mut jobs = jobs.clone();
            jobs.any(|job| is_ready(job) && job.queue == request.queue && request.kinds.contains(&job.kind))
        })
    }
}

impl ParkedClaims {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves a claim: one request for each queue, of which one is made. It stays where it is while more than `most` is entered
    /// at once.
    ///
    /// `room` is asked when the claim is about to be made, on the thread of whoever enters a job and under a lock, and caps the
    /// limits of the request; if there is none, the claim stays. Neither the call nor its drop may block or come back here.
    #[must_use]
    pub fn park(
        &self,
        requests: Vec<ClaimRequest>,
        most: BatchSize,
        room: impl Fn() -> Room + Send + 'static,
    ) -> ParkedClaim {
        let (answer, answered) = oneshot::channel();
        let mut places = self.lock();
        let number = places.next;
        places.next += 1;
        places.occupied.push(Place { number, requests, most, room: Box::new(room), answer });
        ParkedClaim { parking: self.clone(), number, answered: Some(answered) }
    }

    /// For a backend that is about to enter `jobs` at `now`: the first claim that would take one of them. A job with a
    /// `run_at` counts only if `now` is given and not before it.
    #[must_use]
    pub fn take<'a, I>(&self, jobs: I, now: Option<Timestamp>) -> Option<TakenClaim>
    where
        I: IntoIterator<Item = &'a JobSpec>,
        I::IntoIter: Clone,
    {
        let mut places = self.lock();
        if places.occupied.is_empty() {
            return None;
        }
        let jobs = jobs.into_iter();
        let (index, mut request, room) = places.occupied.iter().enumerate().find_map(|(index, place)| {
            let request = place.most.has_room_for(jobs.clone()).then(|| place.wanting(&jobs, now))??;
            let room = (place.room)();
            (room.limit > 0).then(|| (index, request.clone(), room))
        })?;
        let Place { most, answer, .. } = places.occupied.remove(index);
        request.limit = request.limit.min(room.limit);
        request.last_attempts = request.last_attempts.min(room.last_attempts);
        request.now = now;
        Some(TakenClaim { request, most, answer: Some(answer) })
    }

    /// How many are parked.
    #[must_use]
    pub fn count(&self) -> usize {
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
#[non_exhaustive]
pub struct Answer {
    /// The request, as it was made.
    pub request: ClaimRequest,
    /// As [`claim`](super::Backend::claim) would have answered.
    pub reply: Result<ClaimReply>,
}

/// The worker's side of a claim that it parked. Dropped, the claim is withdrawn; if it is being made at that moment, its
/// leases are found by [`leases`](super::Backend::leases), or by the worker's expiry.
#[derive(Debug)]
pub struct ParkedClaim {
    parking: ParkedClaims,
    number: u64,
    answered: Option<oneshot::Receiver<Option<Answer>>>,
}

impl ParkedClaim {
    /// Waits until the claim was made; `None` if nothing came of it. It is parked no longer then.
    ///
    /// # Cancellation
    /// Nothing is lost when this future is dropped.
    pub async fn answered(&mut self) -> Option<Answer> {
        let answer = match &mut self.answered {
            Some(answered) => answered.await,
            None => return None,
        };
        self.answered = None;
        // Whoever takes it says something, also by being dropped.
        answer.ok().flatten()
    }

    /// Takes the claim back. If it is being made at this moment, waits for its answer.
    ///
    /// # Cancellation
    /// The claim is withdrawn when this future is dropped, or its answer is lost.
    pub async fn withdraw(mut self) -> Option<Answer> {
        if self.parking.remove(self.number) { None } else { self.answered().await }
    }
}

impl Drop for ParkedClaim {
    fn drop(&mut self) {
        self.parking.remove(self.number);
    }
}

/// A claim that a backend took to make it. Dropped, it is answered an unknown outcome.
#[derive(Debug)]
pub struct TakenClaim {
    request: ClaimRequest,
    most: BatchSize,
    answer: Option<oneshot::Sender<Option<Answer>>>,
}

impl TakenClaim {
    /// What to claim.
    #[must_use]
    pub const fn request(&self) -> &ClaimRequest {
        &self.request
    }

    /// Tells the worker what came of it.
    pub fn answer(mut self, reply: Result<ClaimReply>) {
        self.say(Some(reply));
    }

    /// Tells the worker that nothing came of it: it was not made, or undone.
    pub fn decline(mut self) {
        self.say(None);
    }

    /// Tells the worker that the insert failed which it was to be made with: nothing came of it, unless that is not known.
    pub fn insert_failed(self, error: &Error) {
        match error.kind() {
            // What is told when it is dropped.
            ErrorKind::UnknownOutcome => drop(self),
            _ => self.decline(),
        }
    }

    /// For a backend that wraps another one: parks the claim there, for the insert that follows, or for another one of that
    /// moment. To be dropped before `self`, which tells the worker to look for leases.
    #[must_use]
    pub fn pass_on(&self, wrapped: &ParkedClaims) -> ParkedClaim {
        let ClaimRequest { limit, last_attempts, .. } = self.request;
        wrapped.park(vec![self.request.clone()], self.most, move || Room { limit, last_attempts })
    }

    /// Tells the worker what came of the claim that was [passed on](Self::pass_on), as it was when it was withdrawn.
    pub fn pass_back(self, answer: Option<Answer>) {
        match answer {
            Some(answer) => self.answer(answer.reply),
            None => self.decline(),
        }
    }

    fn say(&mut self, reply: Option<Result<ClaimReply>>) {
        let Some(answer) = self.answer.take() else { return };
        // Nobody waits if the worker was dropped.
        let _ = answer.send(reply.map(|reply| Answer { request: self.request.clone(), reply }));
    }
}

impl Drop for TakenClaim {
    fn drop(&mut self) {
        let message = "whoever was to make the claim ended without an answer";
        self.say(Some(Err(Error::new(ErrorKind::UnknownOutcome, "claim jobs", message))));
    }
}

#[cfg(test)]
mod tests;
