//! Where the next claim of each worker starts.
//!
//! While a transaction holds an old snapshot, PostgreSQL cannot remove the index entries of jobs
//! that were taken since. A claim from the head of a queue walks over all of them; a claim that
//! starts behind the last claimed job does not. Decision 026 has the figures.
//!
//! A job that becomes ready before that position is found nevertheless. Requests of this handle and
//! notifications of other processes move the position back. A claim that finds nothing is repeated
//! from the head, unless the head costs too much. The first claim after
//! [`PostgresConfig::head_interval`](crate::PostgresConfig::head_interval) starts there.

mod cursor;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use queue_core::backend::{ClaimRequest, ClaimedJob, Hint, WakeHints, ignore_poison};
use queue_core::{Kind, QueueName, Timestamp, WorkerId};

pub(crate) use self::cursor::Cursor;

/// Replaces a longer interval, because the system clock has a maximum.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The positions of the workers of one handle.
#[derive(Debug)]
pub(crate) struct Positions {
    queues: Mutex<Queues>,
    head_interval: Duration,
    head_share: u32,
}

#[derive(Debug, Default)]
struct Queues {
    by_name: HashMap<QueueName, Queue>,
    /// The number of the last claim that started.
    last_claim: u64,
}

#[derive(Debug, Default)]
struct Queue {
    workers: Vec<WorkerPosition>,
    /// Up to this time no job waits. The search for the first waiting job starts behind it, because
    /// otherwise it would walk over the entries of promoted jobs.
    waiting_after: Option<Timestamp>,
}

/// The position of one worker and its kinds in one queue.
#[derive(Debug)]
struct WorkerPosition {
    worker: WorkerId,
    kinds: Arc<[Kind]>,
    cursor: Cursor,
    /// The number of its claim that started last.
    claim: u64,
    /// Least times of jobs that became ready since that claim started: its reply must not move the
    /// cursor past them.
    ready_since: BTreeMap<i16, Timestamp>,
    /// The least time for which a job waits since that claim started.
    waiting_since: Option<Timestamp>,
    head_wanted: bool,
    /// Whether the head was wanted again since that claim started.
    head_wanted_since: bool,
    head_allowed: Instant,
    head_at: Instant,
}

/// Where one claim starts.
#[derive(Debug)]
pub(crate) struct Start {
    claim: u64,
    at: Instant,
    /// `None` is the head of the queue.
    pub(crate) cursor: Option<Cursor>,
    /// Up to this time no job waits, as far as this handle knows.
    pub(crate) waiting_after: Option<Timestamp>,
}

impl Start {
    /// Moves the start back to jobs that become ready, or wait, in the transaction of the claim.
    pub(crate) fn rewind(&mut self, queue: &QueueName, hints: &WakeHints) {
        for hint in hints.hints().filter(|hint| hint.queue == *queue) {
            if let Some(cursor) = &mut self.cursor {
                cursor.rewind(hint.priority, hint.run_at);
            }
            self.waiting_after = self.waiting_after.map(|after| after.min(just_before(hint.run_at)));
        }
    }

    pub(crate) const fn is_head(&self) -> bool {
        self.cursor.is_none()
    }
}

impl Positions {
    /// `head_share` is at least 1.
    pub(crate) fn new(head_interval: Duration, head_share: u32) -> Self {
        Self { queues: Mutex::default(), head_interval, head_share: head_share.max(1) }
    }

    /// Where to start a claim.
    pub(crate) fn next(&self, request: &ClaimRequest, now: Instant) -> Start {
        self.start(request, now, |position| {
            position.head_at <= now || position.head_wanted && position.head_allowed <= now
        })
    }

    /// Where to start a claim that is made together with an insert: the job that it is for has the
    /// last position.
    pub(crate) fn next_with_insert(&self, request: &ClaimRequest, now: Instant) -> Start {
        self.start(request, now, |position| position.head_at <= now)
    }

    /// The time until a claim may start at the head without taking more than its share of the time.
    pub(crate) fn wait_for_head(&self, request: &ClaimRequest, now: Instant) -> Duration {
        let mut queues = self.lock();
        let queue = queues.by_name.entry(request.queue.clone()).or_default();
        let position = queue.position(request, now);
        position.head_allowed.min(position.head_at).saturating_duration_since(now)
    }

    fn start(
        &self,
        request: &ClaimRequest,
        now: Instant,
        from_head: impl FnOnce(&WorkerPosition) -> bool,
    ) -> Start {
        let mut queues = self.lock();
        queues.last_claim += 1;
        let claim = queues.last_claim;
        let queue = queues.by_name.entry(request.queue.clone()).or_default();
        let waiting_after = queue.waiting_after;
        let position = queue.position(request, now);
        position.claim = claim;
        position.ready_since.clear();
        position.waiting_since = None;
        position.head_wanted_since = false;
        if from_head(position) {
            Start { claim, at: now, cursor: None, waiting_after: None }
        } else {
            Start { claim, at: now, cursor: Some(position.cursor.clone()), waiting_after }
        }
    }

    /// Moves the position of the worker behind these jobs. `waiting_after` is the time of
    /// the claim if it left no due job behind.
    pub(crate) fn claimed(
        &self,
        request: &ClaimRequest,
        start: &Start,
        jobs: &[ClaimedJob],
        waiting_after: Option<Timestamp>,
        now: Instant,
    ) {
        let mut queues = self.lock();
        let Some(queue) = queues.by_name.get_mut(&request.queue) else { return };
        // If another claim of the worker started since, `ready_since` concerns that one.
        let position = queue.workers.iter_mut().find(|position| position.claim == start.claim);
        let Some(position) = position else { return };
        let was_full = is_full(request, jobs);
        let older = match start.cursor {
            None => Some(std::mem::take(&mut position.cursor)),
            Some(_) => None,
        };
        for job in jobs {
            position.cursor.advance(job.priority, (job.run_at, job.token.job));
        }
        if let Some(older) = older {
            position.cursor.keep_passed(&older, was_full);
            let cost = now.saturating_duration_since(start.at);
            position.head_wanted = position.head_wanted_since;
            position.head_at = later(now, self.head_interval);
            let others = cost.saturating_mul(self.head_share - 1);
            position.head_allowed = later(now, others.min(self.head_interval));
        } else {
            position.head_wanted |= !was_full;
        }
        for (&priority, &run_at) in &position.ready_since {
            position.cursor.rewind(priority, run_at);
        }
        if let Some(time) = waiting_after {
            queue.waiting_after = position.waiting_since.map(just_before).into_iter().chain([time]).min();
        }
    }

    /// Makes the next claims from this queue start at the head, because a claim failed: other
    /// claims skipped the jobs that it had locked.
    pub(crate) fn failed(&self, queue: &QueueName, now: Instant) {
        if let Some(queue) = self.lock().by_name.get_mut(queue) {
            queue.want_head();
            queue.workers.iter_mut().for_each(|position| position.head_allowed = now);
        }
    }

    /// Moves positions back to jobs that became ready, or wait. If any may have, the next claims
    /// start at the head.
    pub(crate) fn rewind(&self, hints: &WakeHints) {
        let mut queues = self.lock();
        for hint in hints.hints() {
            if let Some(queue) = queues.by_name.get_mut(&hint.queue) {
                queue.rewind(&hint);
            }
        }
        if hints.is_unknown() {
            queues.by_name.values_mut().for_each(Queue::want_head);
        }
    }

    /// Forgets a worker that claims no more.
    pub(crate) fn forget(&self, worker: WorkerId) {
        self.lock().by_name.retain(|_, queue| {
            queue.workers.retain(|position| position.worker != worker);
            !queue.workers.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        ignore_poison(self.queues.lock())
    }
}

impl Queue {
    /// The position for this request. The first claim starts at the head.
    fn position(&mut self, request: &ClaimRequest, now: Instant) -> &mut WorkerPosition {
        let is_same = |position: &WorkerPosition| {
            position.worker == request.worker
                && (Arc::ptr_eq(&position.kinds, &request.kinds) || position.kinds == request.kinds)
        };
        let index = self.workers.iter().position(is_same).unwrap_or_else(|| {
            self.workers.push(WorkerPosition {
                worker: request.worker,
                kinds: Arc::clone(&request.kinds),
                cursor: Cursor::default(),
                claim: 0,
                ready_since: BTreeMap::new(),
                waiting_since: None,
                head_wanted: true,
                head_wanted_since: false,
                head_allowed: now,
                head_at: now,
            });
            self.workers.len() - 1
        });
        &mut self.workers[index]
    }

    fn rewind(&mut self, hint: &Hint) {
        for position in &mut self.workers {
            if hint.due_in.is_zero() {
                position.cursor.rewind(hint.priority, hint.run_at);
                let least = position.ready_since.entry(hint.priority).or_insert(hint.run_at);
                *least = hint.run_at.min(*least);
            }
            // A job that is due may wait nevertheless: a claim promotes it.
            position.waiting_since = position.waiting_since.into_iter().chain([hint.run_at]).min();
        }
        self.waiting_after = self.waiting_after.map(|after| after.min(just_before(hint.run_at)));
    }

    fn want_head(&mut self) {
        for position in &mut self.workers {
            position.head_wanted = true;
            position.head_wanted_since = true;
        }
    }
}

fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or_else(|| now + LONGEST_WAIT)
}

/// Behind which time a job of this time is found.
fn just_before(run_at: Timestamp) -> Timestamp {
    run_at.saturating_sub(Duration::from_micros(1))
}

/// Whether more jobs may follow the last one: the claim reached its limit, or stopped before a job
/// on its last attempt.
pub(crate) fn is_full(request: &ClaimRequest, jobs: &[ClaimedJob]) -> bool {
    let is_at = |limit: u32, count: usize| u32::try_from(count).is_ok_and(|count| count >= limit);
    let last_attempts = jobs.iter().filter(|job| job.is_last_attempt()).count();
    is_at(request.limit, jobs.len()) || is_at(request.last_attempts, last_attempts)
}

#[cfg(test)]
mod tests;
