//! Fires the schedules that are due.

use std::collections::HashSet;
use std::time::Duration;

use super::advance::{Previous, Step, advance};
use super::definition::{self, Definition};
use super::rule::Rule;
use super::state::{FireOutcome, State};
use super::when::Overlap;
use crate::backend::{
    Backend, CancelRequest, ChangeSchedulesRequest, DueSchedulesReply, DueSchedulesRequest, ScheduleChange,
    ScheduleChanged, ScheduleVersion, StoredSchedule,
};
use crate::limits::UNREADABLE_SCHEDULE_INTERVAL;
use crate::{Insertion, JobId, JobSpec, Result, Timestamp};

/// The most schedules that one request fires.
pub(crate) const FIRE_LIMIT: u32 = 500;

/// What a worker did, and when the next schedule is due.
#[derive(Debug)]
pub(crate) struct Fired {
    /// The number of schedules that were due.
    pub(crate) due: usize,
    pub(crate) next_due: Option<Duration>,
}

/// A schedule that is due, and what it says.
struct Due {
    stored: StoredSchedule,
    definition: Definition,
    rule: Rule,
    state: State,
}

/// Fires up to [`FIRE_LIMIT`] schedules that are due. `None` if the backend stores no schedules.
///
/// # Errors
/// Those of the backend. Nothing is lost: what was due is due again.
///
/// # Cancellation
/// If the future is dropped, each schedule fired or is due again.
pub(crate) async fn fire_due(backend: &dyn Backend, now: Option<Timestamp>) -> Result<Option<Fired>> {
    let Some(store) = backend.extensions().schedules else { return Ok(None) };
    let mut request = DueSchedulesRequest::new(FIRE_LIMIT);
    request.now = now;
    let DueSchedulesReply { schedules, now: at, next_due, .. } = store.due(request).await?;
    let mut fired = Fired { due: schedules.len(), next_due };
    if schedules.is_empty() {
        return Ok(Some(fired));
    }
    let (mut due, mut changes) = (Vec::with_capacity(schedules.len()), Vec::new());
    for stored in schedules {
        match Due::read(&stored) {
            Ok(readable) => due.push(readable),
            Err(error) => {
                tracing::error!(schedule = %stored.name, %error, "cannot fire a schedule; looking again later");
                let later = stored.clone().due_at(at.saturating_add(UNREADABLE_SCHEDULE_INTERVAL));
                changes.push((stored.name.clone(), None, replace(&stored, later)?));
            }
        }
    }
    let unfinished = unfinished(backend, &due).await?;
    for due in due {
        let step = due.step(at, &unfinished);
        if let Some(job) = step.cancel {
            // Before the fire, so that a crash between them leaves the slot due.
            backend.cancel(CancelRequest::new(vec![job]).signal_running()).await?;
        }
        changes.push((due.stored.name.clone(), Some(step.state.clone()), due.change(&step)?));
    }
    let new = changes.iter().filter_map(|(_, _, change)| change.schedule()?.due_at);
    fired.next_due = new.map(|due_at| at.until(due_at)).chain(fired.next_due).min();
    let requests = changes.iter().map(|(_, _, change)| change.clone()).collect();
    let mut request = ChangeSchedulesRequest::new(requests);
    request.now = now;
    let results = store.change(request).await?;
    for ((name, state, change), result) in changes.iter().zip(results) {
        match result {
            Ok(ScheduleChanged::Done(jobs)) => {
                for (job, submitted) in change.jobs.iter().zip(jobs) {
                    if submitted.insertion == Insertion::Duplicate {
                        tracing::info!(schedule = %name, job = %submitted.id, "a slot has no job: another job holds its unique key");
                    } else {
                        tracing::debug!(schedule = %name, kind = %job.kind, job = %job.id, "fired a schedule");
                    }
                }
                report(name.as_str(), at, state.as_ref());
            }
            // Another worker was first.
            Ok(_) => {}
            Err(error) => tracing::error!(schedule = %name, %error, "cannot fire a schedule; retrying"),
        }
    }
    Ok(Some(fired))
}

fn report(name: &str, at: Timestamp, state: Option<&State>) {
    let Some(state) = state else { return };
    let count = |outcome| state.recent.iter().filter(|fire| fire.at == at && fire.outcome == outcome).count();
    let (skipped, missed) = (count(FireOutcome::Skipped), count(FireOutcome::Missed));
    if missed > 0 {
        tracing::warn!(schedule = %name, missed, "slots of a schedule were missed");
    }
    if skipped > 0 {
        tracing::info!(schedule = %name, skipped, "skipped slots of a schedule, whose job before is unfinished");
    }
}

fn replace(old: &StoredSchedule, mut new: StoredSchedule) -> Result<ScheduleChange> {
    new.version = ScheduleVersion::generate()?;
    Ok(ScheduleChange::replace(old.version, new))
}

impl Due {
    fn read(stored: &StoredSchedule) -> Result<Self> {
        let name = stored.name.as_str();
        let definition = Definition::read(name, &stored.definition)?;
        let rule = definition.when.clone().rule()?;
        let state = definition::read(name, "state", &stored.state)?;
        // So that a job that cannot be built is found before anything is changed.
        definition.job(name, Timestamp::UNIX_EPOCH)?;
        Ok(Self { stored: stored.clone(), definition, rule, state })
    }

    /// The job before, if it matters whether it is unfinished.
    fn previous(&self) -> Option<JobId> {
        self.state.last_job.filter(|_| self.rule.overlap() != Overlap::Allow)
    }

    fn step(&self, now: Timestamp, unfinished: &HashSet<JobId>) -> Step {
        let previous = match self.previous() {
            Some(job) if unfinished.contains(&job) => Previous::Unfinished,
            _ => Previous::Finished,
        };
        advance(&self.rule, self.stored.name.as_str(), self.state.clone(), now, previous)
    }

    fn change(&self, step: &Step) -> Result<ScheduleChange> {
        let name = self.stored.name.as_str();
        let jobs = step.fires.iter().map(|slot| self.definition.job(name, *slot));
        let jobs = jobs.collect::<Result<Vec<JobSpec>>>()?;
        let mut new = self.stored.clone().due_at(step.due_at);
        new.state = step.state.write();
        Ok(replace(&self.stored, new)?.jobs(jobs))
    }
}

/// The unfinished ones of the jobs before.
async fn unfinished(backend: &dyn Backend, due: &[Due]) -> Result<HashSet<JobId>> {
    let previous: Vec<JobId> = due.iter().filter_map(Due::previous).collect();
    if previous.is_empty() {
        return Ok(HashSet::new());
    }
    let records = crate::backend::inspect(backend)?.jobs(&previous).await?;
    let unfinished = records.into_iter().flatten().filter(|record| !record.state.is_finished());
    Ok(unfinished.map(|record| record.job.id).collect())
}
