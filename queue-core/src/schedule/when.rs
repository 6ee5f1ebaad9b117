//! The times of a schedule, and its rules for slots that are missed or overlap.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text;
use crate::Timestamp;
use crate::limits::DEFAULT_CATCH_UP;
use crate::time::whole_micros;

/// When a schedule fires. An expression or a zone that is not valid is an error when the schedule
/// is put.
///
/// ```
/// use std::time::Duration;
/// use queue_core::{CatchUp, Overlap, Schedule};
///
/// let nightly = Schedule::cron("30 2 * * *").zone("Europe/Berlin").overlap(Overlap::Skip);
/// assert_eq!(nightly.describe()?, "every day at 02:30 Europe/Berlin");
/// let often = Schedule::every(Duration::from_secs(10)).catch_up(CatchUp::None);
/// assert_eq!(often.describe()?, "every 10s");
/// let error = Schedule::cron("30 25 * * *").describe().unwrap_err();
/// assert!(error.to_string().contains("the hour `25`"));
/// # Ok::<(), queue_core::Error>(())
/// ```
///
/// # Changes of the clocks
/// A time that the clocks of the zone skip fires at the end of the gap. One that they show twice
/// fires once. Expressions whose minute or hour begins with `*` follow real time. These are the
/// rules of Vixie cron.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Schedule {
    #[serde(flatten)]
    pub(super) times: Times,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
    pub(super) catch_up: CatchUp,
    pub(super) overlap: Overlap,
    #[serde(with = "text::duration", default, skip_serializing_if = "Duration::is_zero")]
    pub(super) jitter: Duration,
    #[serde(with = "text::time_if_any", default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Timestamp>,
    #[serde(with = "text::time_if_any", default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Times {
    Cron(String),
    Every(#[serde(with = "text::duration")] Duration),
}

/// The rule for slots that passed while no worker ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CatchUp {
    /// None of them fires, if it is later than [`CATCH_UP_GRACE`](crate::limits::CATCH_UP_GRACE).
    None,
    /// The latest of them fires.
    #[default]
    Latest,
    /// All of them fire. Of more than this number, the latest do. It is at most
    /// [`MAX_CATCH_UP`](crate::limits::MAX_CATCH_UP). With an [`Overlap`] other than `Allow`, only
    /// the latest fires.
    All(u32),
}

impl CatchUp {
    /// All missed slots, up to [`DEFAULT_CATCH_UP`].
    #[must_use]
    pub const fn all() -> Self {
        Self::All(DEFAULT_CATCH_UP)
    }
}

/// The rule for a slot while the job of the one before is unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overlap {
    /// It fires.
    #[default]
    Allow,
    /// It is skipped.
    Skip,
    /// It fires when that job is finished. Only one slot waits; further ones are skipped.
    Wait,
    /// It fires, and that job is cancelled.
    CancelPrevious,
}

impl Schedule {
    /// Fires at the times of a cron expression (default zone: `UTC`): minute, hour, day of the
    /// month, month, day of the week, and optionally the second before them.
    pub fn cron(expression: impl Into<String>) -> Self {
        Self::new(Times::Cron(expression.into()))
    }

    /// Fires at each multiple of this interval since the start, or since 1970 if there is none. It
    /// is at least [`MIN_SCHEDULE_INTERVAL`](crate::limits::MIN_SCHEDULE_INTERVAL).
    pub fn every(interval: Duration) -> Self {
        Self::new(Times::Every(whole_micros(interval)))
    }

    const fn new(times: Times) -> Self {
        Self {
            times,
            zone: None,
            catch_up: CatchUp::Latest,
            overlap: Overlap::Allow,
            jitter: Duration::ZERO,
            start: None,
            end: None,
        }
    }

    /// Sets a cron expression instead, and keeps the rules and the time zone: to change a schedule
    /// that was read.
    pub fn with_cron(mut self, expression: impl Into<String>) -> Self {
        self.times = Times::Cron(expression.into());
        self
    }

    /// Sets an interval instead, and keeps the rules. It has no time zone.
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.times = Times::Every(whole_micros(interval));
        self.zone = None;
        self
    }

    /// Returns whether it has the same slots.
    pub(super) fn has_slots_of(&self, other: &Self) -> bool {
        let slots = |schedule: &Self| (schedule.zone.clone(), schedule.start, schedule.end);
        self.times == other.times && slots(self) == slots(other)
    }

    /// The times as they were written.
    pub(super) fn raw(&self) -> String {
        let zone = self.zone.as_deref().unwrap_or_default();
        match &self.times {
            Times::Cron(expression) => format!("{expression} {zone}").trim_end().to_owned(),
            Times::Every(interval) => format!("every {}", humantime::format_duration(*interval)),
        }
    }

    /// Sets the time zone of a cron expression, by its name in the IANA database.
    pub fn zone(mut self, name: impl Into<String>) -> Self {
        self.zone = Some(name.into());
        self
    }

    /// Sets the rule for slots that passed while no worker ran (default: the latest fires).
    pub const fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// Sets the rule for a slot while the job before is unfinished (default: it fires).
    pub const fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Delays each slot by a time of less than this. It depends on the name of the schedule and on
    /// the slot only, and so is the same in all processes.
    pub fn jitter(mut self, longest: Duration) -> Self {
        self.jitter = whole_micros(longest);
        self
    }

    /// Sets the time of the first possible slot.
    pub fn starting(mut self, start: impl Into<Timestamp>) -> Self {
        self.start = Some(start.into());
        self
    }

    /// Sets the time of the last possible slot.
    pub fn ending(mut self, end: impl Into<Timestamp>) -> Self {
        self.end = Some(end.into());
        self
    }
}
