//! A schedule as an operator sees it.

use serde::{Serialize, Serializer};

use super::definition::{self, Definition};
use super::deployment::Deployment;
use super::state::{Fire, State};
use super::when::Schedule;
use crate::backend::StoredSchedule;
use crate::limits::SHOWN_SLOTS;
use crate::{Kind, Payload, Result, ScheduleName, Timestamp};

/// A stored schedule: its job, its times, and the outcome of its last slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScheduleRecord {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub name: ScheduleName,
    /// The kind of its jobs.
    #[serde(serialize_with = "as_text")]
    pub kind: Kind,
    /// The payload of its jobs.
    #[serde(skip)]
    pub payload: Payload,
    /// When it fires: the times and all rules.
    pub schedule: Schedule,
    /// The schedule of its program, if an operator has set another.
    pub overridden: Option<Schedule>,
    /// The program that it belongs to, if its worker has a deployment.
    pub owner: Option<Deployment>,
    /// When it fires, in words.
    pub words: String,
    /// Why this program cannot fire it: its machine has no such time zone. Others may.
    pub fault: Option<String>,
    /// Whether it is paused.
    pub paused: bool,
    /// The next slots, at most five. None if it is paused, has ended, or has a fault.
    #[serde(serialize_with = "as_texts")]
    pub next: Vec<Timestamp>,
    /// The slot that waits for the job before.
    #[serde(serialize_with = "as_text_if_any")]
    pub waiting: Option<Timestamp>,
    /// The last slots, the latest first, at most ten.
    pub recent: Vec<Fire>,
    /// The number of jobs that were inserted.
    pub fired: u64,
    /// The number of slots that were skipped, because of the job before or by hand.
    pub skipped: u64,
    /// The number of slots that passed while no worker ran. Of one outage, at most
    /// [`MAX_COUNTED_MISSES`](crate::limits::MAX_COUNTED_MISSES) are counted.
    pub missed: u64,
}

impl ScheduleRecord {
    /// `None` if its program has removed it.
    pub(super) fn read(stored: StoredSchedule) -> Result<Option<Self>> {
        let name = stored.name.as_str();
        let definition = Definition::read(name, &stored.definition)?;
        let state: State = definition::read(name, "state", &stored.state)?;
        if state.removed {
            return Ok(None);
        }
        let (words, next, fault) = match definition.rule(name) {
            Ok(rule) => {
                let first = state.next.filter(|_| !state.paused);
                let slots = std::iter::successors(first, |slot| rule.next_after(*slot));
                (rule.describe(), slots.take(SHOWN_SLOTS).collect(), None)
            }
            Err(fault) => (definition.schedule().raw(), Vec::new(), Some(fault.message().to_owned())),
        };
        Ok(Some(Self {
            kind: definition.kind()?,
            payload: definition.payload(),
            words,
            fault,
            schedule: definition.schedule().clone(),
            overridden: definition.overridden().cloned(),
            owner: definition.owner,
            paused: state.paused,
            next,
            waiting: state.waiting,
            recent: state.recent.into(),
            fired: state.fired,
            skipped: state.skipped,
            missed: state.missed,
            name: stored.name,
        }))
    }
}

fn as_text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_texts<S: Serializer>(values: &[Timestamp], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

fn as_text_if_any<S: Serializer>(value: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(|value| value.to_string()).serialize(serializer)
}
