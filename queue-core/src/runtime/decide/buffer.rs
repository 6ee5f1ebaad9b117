//! Claimed jobs that wait for a slot, the most urgent first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::JobId;
use crate::backend::ClaimedJob;
use crate::runtime::decide::buffer_size::BufferSize;

/// A job is released once it has waited this many times longer than it should: the buffer was too
/// large for the jobs in it, and another worker may start the job sooner.
const STALE_FACTOR: u32 = 50;

/// A claimed job, and the index of its backend.
#[derive(Debug)]
pub(crate) struct BufferedJob {
    pub(crate) job: ClaimedJob,
    pub(crate) backend: usize,
    since: Instant,
}

/// Jobs by priority, and within a priority in the order of their claims.
#[derive(Debug)]
pub(crate) struct Buffer {
    levels: BTreeMap<Reverse<i16>, VecDeque<BufferedJob>>,
    len: usize,
    size: BufferSize,
}

impl Buffer {
    pub(crate) const fn new(slots: usize, longest_wait: Duration, batch: usize) -> Self {
        Self { levels: BTreeMap::new(), len: 0, size: BufferSize::new(slots, longest_wait, batch) }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How many jobs should wait at most.
    pub(crate) fn target(&self) -> usize {
        self.size.target()
    }

    /// How many more jobs to claim while `idle` slots have nothing to do.
    pub(crate) fn room(&self, idle: usize) -> usize {
        (self.target() + idle).saturating_sub(self.len)
    }

    /// Whether a job of this priority would start before a job that waits.
    pub(crate) fn would_overtake(&self, priority: i16) -> bool {
        self.levels.last_key_value().is_some_and(|(lowest, _)| priority > lowest.0)
    }

    /// Adds jobs. Returns those on their final attempt that no idle slot would start at once: a
    /// crash must not use up the final attempt of a job that never started.
    #[must_use]
    pub(crate) fn push(
        &mut self,
        backend: usize,
        jobs: Vec<ClaimedJob>,
        idle: usize,
        now: Instant,
    ) -> Vec<ClaimedJob> {
        self.size.learn_claim(jobs.len());
        let mut refused = Vec::new();
        for job in jobs {
            if job.is_last_attempt() && self.len >= idle {
                refused.push(job);
                continue;
            }
            let level = self.levels.entry(Reverse(job.priority)).or_default();
            level.push_back(BufferedJob { job, backend, since: now });
            self.len += 1;
        }
        refused
    }

    /// Removes the most urgent job.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<BufferedJob> {
        let mut level = self.levels.first_entry()?;
        let next = level.get_mut().pop_front();
        if level.get().is_empty() {
            level.remove();
        }
        let next = next?;
        self.len -= 1;
        self.size.learn_wait(now.saturating_duration_since(next.since), now);
        Some(next)
    }

    /// Learns how long a run took.
    pub(crate) fn learn_run(&mut self, took: Duration) {
        self.size.learn_run(took);
    }

    /// Removes one job before it starts.
    pub(crate) fn remove(&mut self, backend: usize, id: JobId) -> Option<ClaimedJob> {
        self.extract(|entry| entry.backend == backend && entry.job.token.job == id).pop()
    }

    /// Whether a job of this backend waits.
    pub(crate) fn holds(&self, backend: usize) -> bool {
        self.levels.values().flatten().any(|entry| entry.backend == backend)
    }

    /// Removes the jobs of one backend that have waited far too long. If there are any, the buffer
    /// shrinks to one job.
    pub(crate) fn take_stale(&mut self, backend: usize, now: Instant) -> Vec<ClaimedJob> {
        let longest = self.size.longest_wait().saturating_mul(STALE_FACTOR);
        let is_stale = |entry: &BufferedJob| now.saturating_duration_since(entry.since) > longest;
        let stale = self.extract(|entry| entry.backend == backend && is_stale(entry));
        if !stale.is_empty() {
            self.size.learn_stale();
        }
        stale
    }

    /// Removes all jobs of one backend.
    pub(crate) fn drain_backend(&mut self, backend: usize) -> Vec<ClaimedJob> {
        self.extract(|entry| entry.backend == backend)
    }

    fn extract(&mut self, wanted: impl Fn(&BufferedJob) -> bool) -> Vec<ClaimedJob> {
        let mut taken = Vec::new();
        self.levels.retain(|_, level| {
            let (out, stay) = std::mem::take(level).into_iter().partition(&wanted);
            *level = stay;
            taken.extend(VecDeque::into_iter(out).map(|entry| entry.job));
            !level.is_empty()
        });
        self.len -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::testing::claimed;

    /// Adds jobs that are not on their final attempt.
    fn put(buffer: &mut Buffer, backend: usize, jobs: Vec<ClaimedJob>, now: Instant) {
        assert!(buffer.push(backend, jobs, 0, now).is_empty());
    }

    const WAIT: Duration = Duration::from_millis(20);

    #[test]
    fn jobs_leave_by_priority_then_claim_order() {
        let now = Instant::now();
        let mut buffer = Buffer::new(2, WAIT, 100);
        let jobs: Vec<_> = [0, 5, 0, -3, 5].map(claimed).into();
        put(&mut buffer, 0, jobs.clone(), now);
        let popped: Vec<_> = std::iter::from_fn(|| buffer.pop(now)).map(|b| b.job.token.job).collect();
        let expected: Vec<_> = [1, 4, 0, 2, 3].iter().map(|&i| jobs[i].token.job).collect();
        assert_eq!(popped, expected);
        assert_eq!(buffer.len(), 0);
    }

    /// Claims as many jobs as there is room for and runs them all, until the buffer no longer
    /// grows.
    fn warm_up(buffer: &mut Buffer, slots: usize, batch: usize, now: Instant) {
        for _ in 0..40 {
            let room = buffer.room(slots).min(batch);
            put(buffer, 0, (0..room).map(|_| claimed(0)).collect(), now);
            while buffer.pop(now).is_some() {}
        }
    }

    #[test]
    fn target_is_what_starts_in_time() {
        let now = Instant::now();
        let mut buffer = Buffer::new(10, WAIT, 500);
        assert_eq!(buffer.room(10), 10, "no run was measured yet: only the idle slots");
        buffer.learn_run(Duration::from_millis(1));
        warm_up(&mut buffer, 10, 500, now);
        assert_eq!(buffer.room(0), 200);
        put(&mut buffer, 0, vec![claimed(0)], now);
        assert_eq!(buffer.room(3), 202);
        let mut slow = Buffer::new(10, WAIT, 500);
        slow.learn_run(Duration::from_secs(1));
        warm_up(&mut slow, 10, 500, now);
        assert_eq!(slow.room(0), 0, "a job of 1 s is claimed for an idle slot only");
        let mut fast = Buffer::new(10, WAIT, 500);
        fast.learn_run(Duration::ZERO);
        warm_up(&mut fast, 10, 500, now);
        assert_eq!(fast.target(), 1000);
    }

    #[test]
    fn one_short_run_leaves_the_allowance() {
        let mut buffer = Buffer::new(4, WAIT, 500);
        buffer.learn_run(Duration::from_micros(1));
        assert_eq!(buffer.room(0), 4);
    }

    #[test]
    fn small_claims_leave_the_allowance() {
        let now = Instant::now();
        let mut buffer = Buffer::new(4, WAIT, 500);
        buffer.learn_run(Duration::from_micros(1));
        for _ in 0..100 {
            put(&mut buffer, 0, vec![claimed(0)], now);
            buffer.pop(now).unwrap();
        }
        assert_eq!(buffer.target(), 4);
    }

    #[test]
    fn long_wait_halves_the_allowance_once() {
        let start = Instant::now();
        let mut buffer = Buffer::new(10, WAIT, 500);
        buffer.learn_run(Duration::from_micros(1));
        warm_up(&mut buffer, 10, 500, start);
        put(&mut buffer, 0, vec![claimed(0), claimed(0), claimed(0)], start);
        buffer.pop(start + WAIT * 2).unwrap();
        assert_eq!(buffer.target(), 500);
        buffer.pop(start + WAIT * 2).unwrap();
        assert_eq!(buffer.target(), 500, "jobs that waited together halve it once");
        buffer.pop(start + WAIT * 3).unwrap();
        assert_eq!(buffer.target(), 250);
    }

    #[test]
    fn jobs_are_removed_by_backend_and_id() {
        let now = Instant::now();
        let mut buffer = Buffer::new(2, WAIT, 100);
        let (ours, theirs) = (claimed(1), claimed(1));
        put(&mut buffer, 0, vec![ours.clone()], now);
        put(&mut buffer, 1, vec![theirs.clone()], now);
        assert!(buffer.remove(1, ours.token.job).is_none());
        assert_eq!(buffer.remove(0, ours.token.job), Some(ours));
        assert_eq!(buffer.drain_backend(1), [theirs]);
        assert_eq!(buffer.len(), 0);
        assert!(buffer.pop(now).is_none());
    }

    #[test]
    fn only_a_higher_priority_overtakes() {
        let mut buffer = Buffer::new(2, WAIT, 100);
        assert!(!buffer.would_overtake(9));
        put(&mut buffer, 0, vec![claimed(5)], Instant::now());
        assert!(!buffer.would_overtake(5));
        assert!(buffer.would_overtake(6));
    }

    #[test]
    fn final_attempt_is_refused_without_idle_slot() {
        let last = || ClaimedJob { attempt: 4, ..claimed(0) };
        let mut buffer = Buffer::new(2, WAIT, 100);
        let refused = buffer.push(0, vec![claimed(0), last(), last(), claimed(0)], 2, Instant::now());
        assert_eq!((refused.len(), buffer.len()), (1, 3));
    }

    #[test]
    fn jobs_that_waited_too_long_are_removed() {
        let now = Instant::now();
        let mut buffer = Buffer::new(2, WAIT, 100);
        put(&mut buffer, 0, vec![claimed(0)], now);
        put(&mut buffer, 1, vec![claimed(0)], now);
        assert!(buffer.take_stale(0, now + WAIT * STALE_FACTOR).is_empty());
        assert_eq!(buffer.take_stale(0, now + WAIT * (STALE_FACTOR + 1)).len(), 1);
        assert!(buffer.holds(1) && !buffer.holds(0));
    }
}
