//! Claimed jobs that wait for a slot.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::JobId;
use crate::backend::ClaimedJob;

/// The weight of the newest run in the mean.
const NEWEST_WEIGHT: f64 = 0.05;

/// The most jobs that wait, in claims of the greatest size.
const BATCHES: usize = 2;

/// A job that waited this many times longer than it should is given back: the measure was wrong.
const STALE: u32 = 50;

/// A claimed job and where it came from.
#[derive(Debug)]
pub(crate) struct Buffered {
    pub(crate) job: ClaimedJob,
    pub(crate) station: usize,
    since: Instant,
}

/// Jobs in the order of their priority, as many as can start within a set time.
///
/// How many those are is measured, twice. Slots divided by the mean time of a run is the most. Below
/// that an allowance starts at one job a slot; it doubles when as many
/// have started and waited briefly, and is halved each time a job had to wait too long: a few short
/// jobs say little about those that follow, and runs that share a core take turns.
#[derive(Debug)]
pub(crate) struct Buffer {
    levels: BTreeMap<Reverse<i16>, VecDeque<Buffered>>,
    len: usize,
    slots: usize,
    longest_wait: Duration,
    /// The most jobs of one claim.
    batch: usize,
    mean_run: Option<f64>,
    allowance: usize,
    halved: Option<Instant>,
    last_wait: Duration,
    /// Jobs that started since the allowance last grew.
    started: usize,
}

impl Buffer {
    pub(crate) const fn new(slots: usize, longest_wait: Duration, batch: usize) -> Self {
        Self {
            levels: BTreeMap::new(),
            len: 0,
            slots,
            longest_wait,
            batch,
            mean_run: None,
            allowance: if slots < batch { slots } else { batch },
            halved: None,
            last_wait: Duration::ZERO,
            started: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How many jobs should wait at the most.
    pub(crate) fn target(&self) -> usize {
        let Some(mean_run) = self.mean_run else { return 0 };
        let startable = self.slots as f64 * self.longest_wait.as_secs_f64() / mean_run.max(1e-9);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let startable = startable as usize;
        startable.min(self.allowance)
    }

    /// How many more jobs should be claimed while `idle` slots have nothing to do.
    pub(crate) fn room(&self, idle: usize) -> usize {
        (self.target() + idle).saturating_sub(self.len)
    }

    /// Whether a job of this priority would start before one that waits.
    pub(crate) fn would_overtake(&self, priority: i16) -> bool {
        self.levels.last_key_value().is_some_and(|(lowest, _)| priority > lowest.0)
    }

    /// Takes jobs in. Gives back those on their last permitted attempt that no idle slot would start
    /// at once: a crash must not end a job that never started.
    #[must_use]
    pub(crate) fn push(
        &mut self,
        station: usize,
        jobs: Vec<ClaimedJob>,
        idle: usize,
        now: Instant,
    ) -> Vec<ClaimedJob> {
        let is_short = self.last_wait < self.longest_wait / 2;
        if is_short && self.started >= self.allowance && jobs.len() >= (self.allowance / 2).min(self.batch) {
            self.started = 0;
            self.allowance = (self.allowance * 2).min(self.batch * BATCHES);
        }
        let mut refused = Vec::new();
        for job in jobs {
            if job.is_last_attempt() && self.len >= idle {
                refused.push(job);
                continue;
            }
            let level = self.levels.entry(Reverse(job.priority)).or_default();
            level.push_back(Buffered { job, station, since: now });
            self.len += 1;
        }
        refused
    }

    /// The most urgent job.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Buffered> {
        let mut level = self.levels.first_entry()?;
        let next = level.get_mut().pop_front();
        if level.get().is_empty() {
            level.remove();
        }
        let next = next?;
        self.len -= 1;
        self.learn_wait(now.saturating_duration_since(next.since), now);
        Some(next)
    }

    /// Learns how long a run took.
    pub(crate) fn learn_run(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.mean_run = Some(self.mean_run.map_or(took, |mean| mean + NEWEST_WEIGHT * (took - mean)));
    }

    fn learn_wait(&mut self, waited: Duration, now: Instant) {
        self.last_wait = waited;
        self.started = self.started.saturating_add(1);
        let recently = |at: Instant| now.saturating_duration_since(at) < self.longest_wait;
        if waited > self.longest_wait && !self.halved.is_some_and(recently) {
            self.allowance = (self.allowance / 2).max(1);
            self.halved = Some(now);
        }
    }

    /// Takes out one job before it starts.
    pub(crate) fn remove(&mut self, station: usize, id: JobId) -> Option<ClaimedJob> {
        let mut removed = self.extract(|entry| entry.station == station && entry.job.token.job == id);
        removed.pop()
    }

    /// Whether a job of this backend waits.
    pub(crate) fn holds(&self, station: usize) -> bool {
        self.levels.values().flatten().any(|entry| entry.station == station)
    }

    /// Takes out the jobs of one backend that wait far too long, and then claims little for a while.
    pub(crate) fn take_stale(&mut self, station: usize, now: Instant) -> Vec<ClaimedJob> {
        let longest = self.longest_wait.saturating_mul(STALE);
        let is_stale = |entry: &Buffered| now.saturating_duration_since(entry.since) > longest;
        let stale = self.extract(|entry| entry.station == station && is_stale(entry));
        if !stale.is_empty() {
            self.allowance = 1;
        }
        stale
    }

    /// Takes out all jobs of one backend.
    pub(crate) fn drain_station(&mut self, station: usize) -> Vec<ClaimedJob> {
        self.extract(|entry| entry.station == station)
    }

    fn extract(&mut self, wanted: impl Fn(&Buffered) -> bool) -> Vec<ClaimedJob> {
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

    /// Takes jobs in that are not on their last attempt.
    fn put(buffer: &mut Buffer, station: usize, jobs: Vec<ClaimedJob>, now: Instant) {
        assert!(buffer.push(station, jobs, 0, now).is_empty());
    }

    const WAIT: Duration = Duration::from_millis(20);

    #[test]
    fn the_most_urgent_comes_first_and_equals_in_their_order() {
        let now = Instant::now();
        let mut buffer = Buffer::new(2, WAIT, 100);
        let jobs: Vec<_> = [0, 5, 0, -3, 5].map(claimed).into();
        put(&mut buffer, 0, jobs.clone(), now);
        let popped: Vec<_> = std::iter::from_fn(|| buffer.pop(now)).map(|b| b.job.token.job).collect();
        let expected: Vec<_> = [1, 4, 0, 2, 3].iter().map(|&i| jobs[i].token.job).collect();
        assert_eq!(popped, expected);
        assert_eq!(buffer.len(), 0);
    }

    /// Claims as much as there is room for and runs all of it, until the allowance is spent.
    fn warm_up(buffer: &mut Buffer, now: Instant) {
        for _ in 0..40 {
            let room = buffer.room(buffer.slots).min(buffer.batch);
            put(buffer, 0, (0..room).map(|_| claimed(0)).collect(), now);
            while buffer.pop(now).is_some() {}
        }
    }

    #[test]
    fn it_holds_what_can_start_in_time() {
        let now = Instant::now();
        let mut buffer = Buffer::new(10, WAIT, 500);
        assert_eq!(buffer.room(10), 10, "nothing is known yet: only the free slots");
        buffer.learn_run(Duration::from_millis(1));
        warm_up(&mut buffer, now);
        assert_eq!(buffer.room(0), 200);
        put(&mut buffer, 0, vec![claimed(0)], now);
        assert_eq!(buffer.room(3), 202);
        let mut slow = Buffer::new(10, WAIT, 500);
        slow.learn_run(Duration::from_secs(1));
        warm_up(&mut slow, now);
        assert_eq!(slow.room(0), 0, "a job of a second is claimed for a free slot only");
        let mut fast = Buffer::new(10, WAIT, 500);
        fast.learn_run(Duration::ZERO);
        warm_up(&mut fast, now);
        assert_eq!(fast.target(), 1000);
    }

    #[test]
    fn one_short_job_does_not_fill_it() {
        let mut buffer = Buffer::new(4, WAIT, 500);
        buffer.learn_run(Duration::from_micros(1));
        assert_eq!(buffer.room(0), 4);
    }

    #[test]
    fn a_few_jobs_now_and_then_leave_the_allowance_as_it_is() {
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
    fn a_long_wait_halves_it_once_in_a_while() {
        let start = Instant::now();
        let mut buffer = Buffer::new(10, WAIT, 500);
        buffer.learn_run(Duration::from_micros(1));
        warm_up(&mut buffer, start);
        put(&mut buffer, 0, vec![claimed(0), claimed(0), claimed(0)], start);
        buffer.pop(start + WAIT * 2).unwrap();
        assert_eq!(buffer.target(), 500);
        buffer.pop(start + WAIT * 2).unwrap();
        assert_eq!(buffer.target(), 500, "those that waited with it say the same");
        buffer.pop(start + WAIT * 3).unwrap();
        assert_eq!(buffer.target(), 250);
    }

    #[test]
    fn jobs_can_be_taken_out_before_they_start() {
        let now = Instant::now();
        let mut buffer = Buffer::new(2, WAIT, 100);
        let (ours, theirs) = (claimed(1), claimed(1));
        put(&mut buffer, 0, vec![ours.clone()], now);
        put(&mut buffer, 1, vec![theirs.clone()], now);
        assert!(buffer.remove(1, ours.token.job).is_none());
        assert_eq!(buffer.remove(0, ours.token.job), Some(ours));
        assert_eq!(buffer.drain_station(1), [theirs]);
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
    fn a_last_attempt_is_taken_only_for_a_slot_that_starts_it_at_once() {
        let last = || ClaimedJob { attempt: 4, ..claimed(0) };
        let mut buffer = Buffer::new(2, WAIT, 100);
        let refused = buffer.push(0, vec![claimed(0), last(), last(), claimed(0)], 2, Instant::now());
        assert_eq!((refused.len(), buffer.len()), (1, 3));
    }

    #[test]
    fn what_waits_far_too_long_is_given_back() {
        let now = Instant::now();
        let mut buffer = Buffer::new(2, WAIT, 100);
        put(&mut buffer, 0, vec![claimed(0)], now);
        put(&mut buffer, 1, vec![claimed(0)], now);
        assert!(buffer.take_stale(0, now + WAIT * STALE).is_empty());
        assert_eq!(buffer.take_stale(0, now + WAIT * (STALE + 1)).len(), 1);
        assert!(buffer.holds(1) && !buffer.holds(0));
    }
}
