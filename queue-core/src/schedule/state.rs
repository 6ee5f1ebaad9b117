//! How far a schedule is.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::text;
use crate::limits::{MAX_RECENT_FIRES, OVERLAP_POLL_INTERVAL};
use crate::{JobId, Timestamp};

/// The state of a stored schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The next slot; `None` if there is none.
    #[serde(with = "text::time_if_any", default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Timestamp>,
    /// The slot that waits for the job before.
    #[serde(with = "text::time_if_any", default, skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Timestamp>,
    /// The job before, which the next look cancels. Stored, so that a crash does not forget it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cancelling: Option<JobId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) paused: bool,
    /// Whether a later revision of its program has removed it. The row stays, so that an older
    /// process does not create it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) removed: bool,
    /// The job of the last slot that fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_job: Option<JobId>,
    #[serde(default)]
    pub(super) fired: u64,
    #[serde(default)]
    pub(super) skipped: u64,
    #[serde(default)]
    pub(super) missed: u64,
    /// The last fires, the latest first.
    #[serde(default)]
    pub(super) recent: VecDeque<Fire>,
    /// What another version has written.
    #[serde(flatten)]
    pub(super) others: serde_json::Map<String, serde_json::Value>,
}

/// A slot that has come, and its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fire {
    /// The slot. For a fire by hand, the time of the request.
    #[serde(with = "text::time")]
    pub slot: Timestamp,
    /// When a worker looked at the slot.
    #[serde(with = "text::time")]
    pub at: Timestamp,
    /// Whether it fired.
    pub outcome: FireOutcome,
    /// The job, if it fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

/// Whether a slot fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FireOutcome {
    /// Its job was inserted.
    Fired,
    /// A job was inserted by hand.
    ByHand,
    /// It was skipped, because of the job before or by hand.
    Skipped,
    /// It passed while no worker ran, and is not made up for.
    Missed,
}

impl State {
    pub(super) fn write(&self) -> String {
        // A struct of texts and numbers can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The state of a schedule that is new, although one of that name was removed: the job before
    /// may still run.
    pub(super) fn declared_again(&self) -> Self {
        Self { cancelling: self.cancelling, last_job: self.last_job, ..Self::default() }
    }

    /// Returns when a worker must look at the schedule.
    pub(super) fn due_at(&self, rule: &Rule, name: &str, now: Timestamp) -> Option<Timestamp> {
        if self.is_stopped() || self.cancelling.is_some() {
            return self.due_at_stopped(now);
        }
        let next = self.next.map(|slot| rule.fires_at(name, slot));
        let look = self.waiting.map(|_| now.saturating_add(OVERLAP_POLL_INTERVAL));
        next.into_iter().chain(look).min()
    }

    /// Returns when a worker must look at a schedule of which no slot fires: only to cancel the job
    /// before, which a fire has announced.
    pub(super) fn due_at_stopped(&self, now: Timestamp) -> Option<Timestamp> {
        self.cancelling.map(|_| now)
    }

    /// Whether no slot fires.
    pub(super) const fn is_stopped(&self) -> bool {
        self.paused || self.removed
    }

    /// Adds a fire to the recent ones, and counts it.
    pub(super) fn add(&mut self, fire: Fire) {
        match fire.outcome {
            FireOutcome::Fired => {
                self.fired += 1;
                self.last_job = fire.job;
            }
            // Apart from the slots, so it is no job before.
            FireOutcome::ByHand => self.fired += 1,
            FireOutcome::Skipped => self.skipped += 1,
            FireOutcome::Missed => self.missed += 1,
        }
        self.recent.push_front(fire);
        self.recent.truncate(MAX_RECENT_FIRES);
    }
}
