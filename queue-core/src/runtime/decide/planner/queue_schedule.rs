//! When one queue is claimed from.

use std::time::{Duration, Instant};

use super::{ClaimOutcome, MoreJobs};
use crate::QueueName;
use crate::runtime::decide::deadline::later;
use crate::runtime::settings::WorkerSettings;

/// One queue of a backend, as far as the worker knows it.
#[derive(Debug)]
pub(super) struct QueueSchedule {
    pub(super) queue: QueueName,
    /// The last claim was full, or a wake-up named a job.
    has_more: bool,
    /// Jobs may be ready, though nothing names one.
    claim_wanted: bool,
    /// Set when the last claim stopped before a job on its final attempt: such a job may be claimed
    /// only for a free slot.
    needs_slot: Option<Instant>,
    /// A wake-up arrived since the last claim, perhaps for a job before the one that needs a slot.
    was_woken: bool,
    /// A look found something, so the next claim is made without another look.
    is_named: bool,
    poll_at: Instant,
    active_poll_at: Instant,
    active_until: Instant,
    due: Option<Instant>,
}

impl QueueSchedule {
    pub(super) const fn new(queue: QueueName, now: Instant) -> Self {
        Self {
            queue,
            has_more: false,
            claim_wanted: true,
            needs_slot: None,
            was_woken: false,
            is_named: false,
            poll_at: now,
            active_poll_at: now,
            active_until: now,
            due: None,
        }
    }

    /// Whether to claim now.
    pub(super) fn wants_claim(&self, now: Instant, idle: usize) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if self.poll_at <= now || is_due {
            return true;
        }
        let polls = self.active_poll_at <= now && now < self.active_until;
        !self.waits_for_slot(idle) && (self.claim_wanted || self.has_more || polls)
    }

    /// Whether asking if the queue has anything would do instead of a claim.
    pub(super) fn wants_look(&self, now: Instant, idle: usize) -> bool {
        !self.is_named && !self.has_more && self.wants_claim(now, idle)
    }

    /// When [`wants_claim`](Self::wants_claim) becomes true, if nothing happens before.
    pub(super) fn next_time(&self, now: Instant, idle: usize) -> Instant {
        let next = self.due.map_or(self.poll_at, |due| due.min(self.poll_at));
        let polls = self.active_poll_at.max(now) < self.active_until && !self.waits_for_slot(idle);
        if polls { next.min(self.active_poll_at) } else { next }
    }

    /// Whether a claim would return nothing until a slot is free.
    const fn waits_for_slot(&self, idle: usize) -> bool {
        self.needs_slot.is_some() && !self.was_woken && idle == 0
    }

    /// Whether the next job has needed a free slot for at least `longest`.
    pub(super) fn has_needed_slot_for(&self, longest: Duration, now: Instant) -> bool {
        self.needs_slot.is_some_and(|since| now.saturating_duration_since(since) >= longest)
    }

    /// Learns that a look found something.
    pub(super) const fn found_by_look(&mut self) {
        self.is_named = true;
    }

    /// Learns that a look found nothing.
    pub(super) fn found_empty(
        &mut self,
        next_due: Option<Duration>,
        now: Instant,
        settings: &WorkerSettings,
    ) {
        self.has_more = false;
        self.needs_slot = None;
        self.looked(next_due, now, settings);
    }

    /// Learns what a claim returned.
    pub(super) fn claimed(&mut self, outcome: &ClaimOutcome, now: Instant, settings: &WorkerSettings) {
        self.has_more = outcome.more != MoreJobs::No;
        let needs_slot = outcome.more == MoreJobs::WhenSlotFree;
        self.needs_slot = needs_slot.then(|| self.needs_slot.unwrap_or(now));
        if outcome.has_jobs {
            self.active_until = later(now, settings.active_time);
        }
        self.looked(outcome.next_due, now, settings);
    }

    fn looked(&mut self, next_due: Option<Duration>, now: Instant, settings: &WorkerSettings) {
        self.claim_wanted = false;
        self.was_woken = false;
        self.is_named = false;
        // Polls keep their interval whatever else is claimed between them, because a backend may
        // look at the whole queue only then.
        if self.poll_at <= now {
            self.poll_at = later(now, settings.poll_interval);
        }
        self.active_poll_at = later(now, settings.active_poll_interval);
        // A backend that does not know of a waiting job does not contradict an earlier wake-up.
        self.due = next_due.map(|wait| later(now, wait)).or(self.due.filter(|due| *due > now));
    }

    /// Has the queue claimed from at once.
    pub(super) const fn want_claim(&mut self) {
        self.claim_wanted = true;
    }

    /// Learns that a job, perhaps of this queue, is due at this moment.
    pub(super) fn due_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Learns that jobs may have become ready anywhere in the queue.
    pub(super) fn anything_ready(&mut self, now: Instant, settings: &WorkerSettings) {
        self.was_woken = true;
        self.claim_wanted = true;
        self.active_until = later(now, settings.active_time);
    }

    /// Learns of a ready job.
    pub(super) fn job_ready(&mut self, now: Instant, settings: &WorkerSettings) {
        self.was_woken = true;
        self.has_more = true;
        self.active_until = later(now, settings.active_time);
    }
}
