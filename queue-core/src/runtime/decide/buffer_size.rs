//! How many claimed jobs may wait for a slot.

use std::time::{Duration, Instant};

/// The weight of the newest run in the mean.
const NEWEST_WEIGHT: f64 = 0.05;

/// The most jobs that may wait, in claims of the greatest size.
const MAX_BATCHES: usize = 2;

/// Measures how many jobs start within `longest_wait`.
///
/// The upper bound is `slots * longest_wait / mean run`. Below it, an allowance starts at one job
/// per slot. It doubles when as many jobs have started after a short wait. It is halved each time a
/// job waited too long. The allowance is needed because the mean is too low in two cases: a few
/// short jobs say little about those that follow, and runs that share a core slow each other down.
#[derive(Debug)]
pub(super) struct BufferSize {
    slots: usize,
    longest_wait: Duration,
    /// The most jobs of one claim.
    batch: usize,
    mean_run: Option<f64>,
    allowance: usize,
    halved_at: Option<Instant>,
    last_wait: Duration,
    /// Jobs that started since the allowance last grew.
    started: usize,
}

impl BufferSize {
    pub(super) const fn new(slots: usize, longest_wait: Duration, batch: usize) -> Self {
        Self {
            slots,
            longest_wait,
            batch,
            mean_run: None,
            allowance: if slots < batch { slots } else { batch },
            halved_at: None,
            last_wait: Duration::ZERO,
            started: 0,
        }
    }

    pub(super) const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// How many jobs should wait at most.
    pub(super) fn target(&self) -> usize {
        let Some(mean_run) = self.mean_run else { return 0 };
        let startable = self.slots as f64 * self.longest_wait.as_secs_f64() / mean_run.max(1e-9);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let startable = startable as usize;
        startable.min(self.allowance)
    }

    /// Learns how many jobs a claim returned. A small claim leaves the allowance as it is, because
    /// its jobs do not show that more would start in time.
    pub(super) fn learn_claim(&mut self, jobs: usize) {
        let was_short = self.last_wait < self.longest_wait / 2;
        let was_large = jobs >= (self.allowance / 2).min(self.batch);
        if was_short && self.started >= self.allowance && was_large {
            self.started = 0;
            self.allowance = (self.allowance * 2).min(self.batch * MAX_BATCHES);
        }
    }

    /// Learns how long a run took.
    pub(super) fn learn_run(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        let mean = self.mean_run.map_or(took, |mean| mean + NEWEST_WEIGHT * (took - mean));
        self.mean_run = Some(mean);
    }

    /// Learns how long a job waited. Halves the allowance at most once per `longest_wait`, because
    /// jobs that waited at the same time have the same cause.
    pub(super) fn learn_wait(&mut self, waited: Duration, now: Instant) {
        self.last_wait = waited;
        self.started = self.started.saturating_add(1);
        let recently = |at: Instant| now.saturating_duration_since(at) < self.longest_wait;
        if waited > self.longest_wait && !self.halved_at.is_some_and(recently) {
            self.allowance = (self.allowance / 2).max(1);
            self.halved_at = Some(now);
        }
    }

    /// Learns that jobs waited far too long: starts over with an allowance of one job.
    pub(super) const fn learn_stale(&mut self) {
        self.allowance = 1;
    }
}
