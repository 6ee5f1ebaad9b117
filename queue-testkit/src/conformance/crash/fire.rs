//! A child that fires schedules, as the workers of the runtime do.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    ChangeSchedulesRequest, DueSchedulesRequest, ScheduleChange, ScheduleStore, ScheduleVersion,
    StoredSchedule,
};
use queue_core::{Backend, JobId, JobSpec, Kind, Payload, Timestamp};
use serde::{Deserialize, Serialize};

use super::messages::{END, IDLE};
use super::work::{KIND, RETRIES, beat_line, parse_time};
use crate::child::Parent;
use crate::conformance::history::event::Micros;
use crate::conformance::session::schedules;

/// The time between two slots.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// The orders of a firing child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) now: Micros,
}

/// The state of a schedule: the number of slots that have fired.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    fired: u64,
}

/// The number of slots of a schedule that have fired.
pub(crate) fn fired(schedule: &StoredSchedule) -> anyhow::Result<u64> {
    let state: State =
        serde_json::from_str(&schedule.state).context("the state of a schedule was changed")?;
    Ok(state.fired)
}

/// A schedule none of whose slots has fired, the first of which is due at this time.
pub(crate) fn new_schedule(name: &str, first: Timestamp) -> anyhow::Result<StoredSchedule> {
    let state = serde_json::to_string(&State { fired: 0 })?;
    let version = ScheduleVersion::generate()?;
    Ok(StoredSchedule::new(name.parse()?, version, "{}".to_owned(), state).due_at(first))
}

/// The payload of the job of a slot. The id of the job is random, so that nothing but the compare
/// and swap of the schedule keeps a slot from firing twice.
pub(crate) fn payload(schedule: &str, slot: u64) -> String {
    format!("\"slot {slot} of {schedule}\"")
}

pub(crate) async fn run(orders: &Orders, backend: &dyn Backend, parent: &Parent) -> anyhow::Result<()> {
    let store = schedules(backend)?;
    let mut now = orders.now.time();
    loop {
        while fire_some(store, now).await? {}
        parent.say(IDLE);
        match parent.hear().await {
            line if line == END => return Ok(()),
            line => now = parse_time(&line).unwrap_or(now),
        }
        parent.say(beat_line(now));
    }
}

/// Fires the next slot of each schedule that is due. Returns whether there was one.
pub(crate) async fn fire_some(store: &dyn ScheduleStore, now: Timestamp) -> anyhow::Result<bool> {
    let due = match store.due(DueSchedulesRequest::new(100).at(now)).await {
        Ok(due) => due.schedules,
        Err(error) if error.is_retryable() => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let changes = due.iter().map(fire).collect::<anyhow::Result<Vec<_>>>()?;
    if changes.is_empty() {
        return Ok(false);
    }
    match store.change(ChangeSchedulesRequest::new(changes).at(now)).await {
        // Of several processes that fire a slot, the first succeeds.
        Ok(replies) => {
            ensure!(replies.len() == due.len(), "{} replies to {} changes", replies.len(), due.len());
        }
        Err(error) if error.is_retryable() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

fn fire(due: &StoredSchedule) -> anyhow::Result<ScheduleChange> {
    let slot = fired(due)? + 1;
    let first = due.due_at.context("a schedule that is never due was due")?;
    let mut new = due.clone().due_at(first.saturating_add(INTERVAL));
    new.version = ScheduleVersion::generate()?;
    new.state = serde_json::to_string(&State { fired: slot })?;
    let payload = Payload::json(payload(due.name.as_str(), slot))?;
    let job = JobSpec::new(JobId::generate(), Kind::new(KIND)?, payload).max_retries(RETRIES).run_at(first);
    Ok(ScheduleChange::replace(due.version, new).jobs(vec![job]))
}
