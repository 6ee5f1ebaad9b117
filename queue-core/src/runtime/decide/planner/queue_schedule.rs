//! When one queue is claimed from, and from where in it.

use std::time::{Duration, Instant};

use super::{ClaimOutcome, ClaimPlan, ClaimStart, MoreJobs};
use crate::QueueName;
use crate::backend::{Cursor, Hint};
use crate::runtime::decide::deadline::later;
use crate::runtime::settings::WorkerSettings;

/// Claims from the head may take one part in this many of the time, because a head that is slow to
/// read would otherwise slow the whole worker down. After `head_interval` one is made in any case.
const HEAD_SHARE: u32 = 20;

/// One queue of a backend, as far as the worker knows it.
#[derive(Debug)]
pub(super) struct QueueSchedule {
    pub(super) queue: QueueName,
    pub(super) cursor: Option<Cursor>,
    /// There may be ready jobs behind the cursor.
    has_more: bool,
    /// Set when the last claim stopped before a job on its final attempt: such a job may be claimed
    /// only for a free slot.
    needs_slot: Option<Instant>,
    /// A wake-up arrived since the last claim, perhaps for a job before the one that needs a slot.
    was_woken: bool,
    /// A look found something, so the next claim is made without another look.
    is_named: bool,
    head_wanted: bool,
    head_allowed: Instant,
    head_at: Instant,
    look_back_at: Instant,
    active_until: Instant,
    due: Option<Instant>,
}

impl QueueSchedule {
    pub(super) fn new(queue: QueueName, now: Instant) -> Self {
        Self {
            queue,
            cursor: None,
            has_more: false,
            needs_slot: None,
            was_woken: false,
            is_named: false,
            head_wanted: true,
            head_allowed: now,
            head_at: now,
            look_back_at: now,
            active_until: now,
            due: None,
        }
    }

    /// Where to claim from now, if anywhere.
    pub(super) fn choose(&self, now: Instant, idle: usize) -> Option<ClaimStart> {
        let due = self.due.is_some_and(|due| due <= now);
        let looks_back = self.look_back_at <= now && now < self.active_until;
        if self.head_at <= now {
            Some(ClaimStart::Head)
        } else if self.waits_for_slot(idle) && !due {
            None
        } else if self.head_allowed <= now && (self.head_wanted || due || looks_back) {
            Some(ClaimStart::Head)
        } else if due || looks_back {
            Some(ClaimStart::LookBack)
        } else if self.has_more {
            Some(ClaimStart::Cursor)
        } else {
            None
        }
    }

    /// Whether asking if the queue has anything would do instead of a claim.
    pub(super) fn wants_look(&self, now: Instant, idle: usize) -> bool {
        let start = self.choose(now, idle);
        !self.is_named && matches!(start, Some(ClaimStart::Head | ClaimStart::LookBack))
    }

    /// When [`choose`](Self::choose) may decide differently, if nothing happens before.
    pub(super) fn next_time(&self, now: Instant, idle: usize) -> Instant {
        let mut next = self.due.map_or(self.head_at, |due| due.min(self.head_at));
        if self.waits_for_slot(idle) {
            return next;
        }
        if self.head_wanted {
            next = next.min(self.head_allowed);
        }
        if self.look_back_at.max(now) < self.active_until {
            next = next.min(self.look_back_at);
        }
        next
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

    /// Learns that a look found nothing. A look reads as much as a claim from the head.
    pub(super) fn found_empty(
        &mut self,
        cost: Duration,
        next_due: Option<Duration>,
        now: Instant,
        settings: &WorkerSettings,
    ) {
        self.has_more = false;
        self.needs_slot = None;
        self.was_woken = false;
        self.due = self.due_from(next_due, now);
        self.look_back_at = later(now, settings.look_back_interval);
        self.read_head(cost, now, settings);
    }

    /// Learns what a claim returned.
    pub(super) fn claimed(
        &mut self,
        plan: &ClaimPlan,
        outcome: ClaimOutcome,
        cost: Duration,
        now: Instant,
        settings: &WorkerSettings,
    ) {
        let was_full = outcome.more != MoreJobs::No;
        self.has_more = was_full;
        let needs_slot = outcome.more == MoreJobs::WhenSlotFree;
        self.needs_slot = needs_slot.then(|| self.needs_slot.unwrap_or(now));
        self.was_woken = false;
        self.is_named = false;
        self.due = self.due_from(outcome.next_due, now);
        if plan.start != ClaimStart::Cursor {
            self.look_back_at = later(now, settings.look_back_interval);
        }
        if outcome.jobs > 0 {
            self.active_until = later(now, settings.look_back);
        }
        if plan.start == ClaimStart::Head || plan.cursor.is_none() {
            self.read_head(cost, now, settings);
            let older = self.cursor.take();
            self.cursor = outcome.cursor;
            if let (Some(reached), Some(older)) = (&mut self.cursor, older) {
                reached.keep_passed(&older, was_full);
            }
        } else {
            // An empty claim behind a cursor does not mean an empty queue.
            self.head_wanted |= !was_full;
            if let (Some(kept), Some(reached)) = (&mut self.cursor, outcome.cursor) {
                kept.merge(&reached);
            }
        }
    }

    fn read_head(&mut self, cost: Duration, now: Instant, settings: &WorkerSettings) {
        self.head_wanted = false;
        self.head_allowed = later(now, (cost * HEAD_SHARE).min(settings.head_interval));
        self.head_at = later(now, settings.head_interval);
    }

    /// A backend that does not know of a waiting job does not contradict an earlier wake-up.
    fn due_from(&self, next_due: Option<Duration>, now: Instant) -> Option<Instant> {
        next_due.map(|wait| later(now, wait)).or(self.due.filter(|due| *due > now))
    }

    /// Has the next claim read from the head, at once.
    pub(super) const fn want_head(&mut self, now: Instant) {
        self.head_wanted = true;
        self.head_allowed = now;
    }

    /// Learns that a job, perhaps of this queue, is due at this moment.
    pub(super) fn due_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Learns that jobs may have become ready anywhere in the queue.
    pub(super) fn anything_ready(&mut self, now: Instant, settings: &WorkerSettings) {
        self.was_woken = true;
        self.head_wanted = true;
        self.look_back_at = now;
        self.active_until = later(now, settings.look_back);
    }

    /// Learns of a ready job, and moves the cursor back to it.
    pub(super) fn job_ready(&mut self, hint: &Hint, now: Instant, settings: &WorkerSettings) {
        self.was_woken = true;
        self.has_more = true;
        self.active_until = later(now, settings.look_back);
        if let Some(cursor) = &mut self.cursor {
            cursor.rewind(hint.priority, hint.run_at);
        }
    }
}
