//! Decides from which queue to claim next, and when.

mod queue_schedule;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use self::queue_schedule::QueueSchedule;
use crate::QueueName;
use crate::backend::{ReadyQueuesReply, Wakes};
use crate::runtime::decide::deadline::later;
use crate::runtime::settings::WorkerSettings;

/// From this many queues on, the backend is first asked which of them have anything. An idle worker
/// of 1,000 queues made 194 transactions per second without it.
const MANY_QUEUES: usize = 4;

/// What to do next.
#[derive(Debug, Clone)]
pub(crate) enum PlannerStep {
    Claim(ClaimPlan),
    /// Ask which of these queues have anything.
    Look(Vec<QueueName>),
}

/// One claim to make.
#[derive(Debug, Clone)]
pub(crate) struct ClaimPlan {
    index: usize,
    pub(crate) queue: QueueName,
}

/// What a claim returned.
#[derive(Debug)]
pub(crate) struct ClaimOutcome {
    pub(crate) has_jobs: bool,
    pub(crate) more: MoreJobs,
    pub(crate) next_due: Option<Duration>,
}

/// Whether there may be more jobs behind the last one, as far as the claim can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MoreJobs {
    /// The claim ended before its limit.
    No,
    /// The claim was full.
    Yes,
    /// The claim stopped before a job on its final attempt, which needs a free slot.
    WhenSlotFree,
}

/// The queues of one backend.
///
/// While a claim is in progress, the caller defers wake-ups until its reply, because an empty reply
/// would hide a wake-up that came after the claim had looked.
#[derive(Debug)]
pub(crate) struct Planner {
    queues: Vec<QueueSchedule>,
    next: usize,
    urgent: Option<i16>,
    settings: WorkerSettings,
}

impl Planner {
    pub(crate) fn new(queues: Vec<QueueName>, settings: WorkerSettings, now: Instant) -> Self {
        let queues = queues.into_iter().map(|queue| QueueSchedule::new(queue, now)).collect();
        Self { queues, next: 0, urgent: None, settings }
    }

    /// What to do now, while `idle` slots have nothing to do. Queues take turns.
    pub(crate) fn next_step(&mut self, now: Instant, idle: usize) -> Option<PlannerStep> {
        let unknown = self.queues.iter().filter(|queue| queue.wants_look(now, idle));
        if unknown.clone().count() >= MANY_QUEUES && !self.must_free_slot(now, idle) {
            return Some(PlannerStep::Look(unknown.map(|queue| queue.queue.clone()).collect()));
        }
        self.plan(now, idle).map(PlannerStep::Claim)
    }

    fn plan(&mut self, now: Instant, idle: usize) -> Option<ClaimPlan> {
        if self.must_free_slot(now, idle) {
            return None;
        }
        let many = self.queues.len();
        let index = (0..many)
            .map(|step| (self.next + step) % many)
            .find(|&index| self.queues[index].wants_claim(now, idle))?;
        self.next = (index + 1) % many;
        self.urgent = None;
        Some(ClaimPlan { index, queue: self.queues[index].queue.clone() })
    }

    /// The claims to park while a slot is idle: one per queue, made with the next insert.
    pub(crate) fn parked(&self) -> Vec<ClaimPlan> {
        let plan = |(index, queue): (usize, &QueueSchedule)| ClaimPlan { index, queue: queue.queue.clone() };
        self.queues.iter().enumerate().map(plan).collect()
    }

    /// Whether nothing may be claimed until a slot is free: a queue has needed one for so long, and
    /// no slot becomes free as long as the other queues fill the buffer.
    fn must_free_slot(&self, now: Instant, idle: usize) -> bool {
        let longest = self.settings.poll_interval;
        idle == 0 && self.queues.iter().any(|queue| queue.has_needed_slot_for(longest, now))
    }

    /// When to plan again if nothing happens before.
    pub(crate) fn next_time(&self, now: Instant, idle: usize) -> Instant {
        let latest = later(now, self.settings.poll_interval);
        if self.must_free_slot(now, idle) {
            return latest;
        }
        self.queues.iter().map(|queue| queue.next_time(now, idle)).fold(latest, Instant::min)
    }

    /// The highest priority in a wake-up since the last plan.
    pub(crate) const fn urgent(&self) -> Option<i16> {
        self.urgent
    }

    /// Learns which of the queues that were looked at have anything.
    pub(crate) fn looked(&mut self, asked: &[QueueName], reply: &ReadyQueuesReply, now: Instant) {
        let (asked, named): (HashSet<_>, HashSet<_>) =
            (asked.iter().collect(), reply.queues.iter().collect());
        for queue in self.queues.iter_mut().filter(|queue| asked.contains(&queue.queue)) {
            if named.contains(&queue.queue) {
                queue.found_by_look();
            } else {
                queue.found_empty(reply.next_due, now, &self.settings);
            }
        }
    }

    /// Learns what a claim returned.
    pub(crate) fn claimed(&mut self, plan: &ClaimPlan, outcome: &ClaimOutcome, now: Instant) {
        self.queues[plan.index].claimed(outcome, now, &self.settings);
    }

    /// Learns that a claim failed, which says nothing about its queue.
    pub(crate) fn failed(&mut self, plan: &ClaimPlan) {
        self.queues[plan.index].want_claim();
    }

    /// Learns from the backend's wake-ups.
    pub(crate) fn wake(&mut self, wakes: &Wakes, now: Instant) {
        for hint in &wakes.ready {
            if let Some(queue) = self.queues.iter_mut().find(|queue| queue.queue == hint.queue) {
                queue.job_ready(now, &self.settings);
                self.urgent = self.urgent.max(Some(hint.priority));
            }
        }
        if let Some(wait) = wakes.due_in {
            self.due_in(wait, now);
        }
        if wakes.unknown {
            self.look_everywhere(now);
        }
    }

    /// Learns that a job is due after `wait`. Its queue is not known.
    pub(crate) fn due_in(&mut self, wait: Duration, now: Instant) {
        let at = later(now, wait);
        self.queues.iter_mut().for_each(|queue| queue.due_at(at));
    }

    /// Learns that jobs may have become ready anywhere.
    pub(crate) fn look_everywhere(&mut self, now: Instant) {
        self.queues.iter_mut().for_each(|queue| queue.anything_ready(now, &self.settings));
    }
}

#[cfg(test)]
mod tests;
