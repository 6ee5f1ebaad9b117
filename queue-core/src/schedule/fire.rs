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
use crate::{ErrorKind, Insertion, JobId, JobRecord, JobSpec, Result, ScheduleName, Submitted, Timestamp};

/// The most schedules that one request fires.
const FIRE_LIMIT: u32 = 500;

/// The number of jobs after which a request takes no further schedule.
const MAX_JOBS: usize = 2000;

/// What a worker did, and when the next schedule is due.
#[derive(Debug)]
pub(crate) struct Fired {
    /// Whether more schedules may be due at once.
    pub(crate) has_more: bool,
    pub(crate) next_due: Option<Duration>,
}

/// A schedule that is due, and what it says.
struct Due {
    stored: StoredSchedule,
    definition: Definition,
    rule: Rule,
    state: State,
}

/// The schedules that are due and that this program cannot read. Others may, so they stay due.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    /// The number of them at the last look.
    found: usize,
    /// Those that were logged, and were not readable since.
    reported: HashSet<ScheduleName>,
}

impl Unreadable {
    /// Enough that they do not keep others from being found.
    fn limit(&self) -> u32 {
        FIRE_LIMIT.saturating_add(u32::try_from(self.found).unwrap_or(u32::MAX))
    }

    /// Returns the others, and logs each of these once.
    fn filter(&mut self, schedules: Vec<StoredSchedule>) -> Vec<Due> {
        let mut due = Vec::with_capacity(schedules.len());
        self.found = 0;
        for schedule in schedules {
            let name = schedule.name.clone();
            match Due::read(schedule) {
                Ok(schedule) => {
                    self.reported.remove(&name);
                    due.push(schedule);
                }
                Err(error) => {
                    self.found += 1;
                    if self.reported.insert(name.clone()) {
                        tracing::error!(schedule = %name, %error, "this program cannot fire a schedule");
                    }
                }
            }
        }
        due
    }
}

/// Fires up to [`FIRE_LIMIT`] schedules that are due. `None` if the backend stores no schedules.
///
/// # Errors
/// Those of the backend. Nothing is lost: what was due is due again.
///
/// # Cancellation
/// If the future is dropped, each schedule fired or is due again.
pub(crate) async fn fire_due(backend: &dyn Backend, unreadable: &mut Unreadable) -> Result<Option<Fired>> {
    let Some(store) = backend.extensions().schedules else { return Ok(None) };
    let limit = unreadable.limit();
    let due = store.due(DueSchedulesRequest::new(limit)).await?;
    let DueSchedulesReply { schedules, now: at, next_due, .. } = due;
    let mut fired = Fired { has_more: false, next_due };
    let is_full = u32::try_from(schedules.len()).is_ok_and(|due| due >= limit);
    let due = unreadable.filter(schedules);
    let unfinished = unfinished(backend, &due).await?;
    let (mut steps, mut changes, mut jobs) = (Vec::new(), Vec::new(), 0);
    for due in due {
        if let Some(job) = due.state.cancelling {
            let request = CancelRequest::new(vec![job]).signal_running();
            if let Err(error) = backend.cancel(request).await {
                let schedule = &due.stored.name;
                tracing::warn!(%schedule, %job, %error, "cannot cancel the job before; retrying");
                continue;
            }
        }
        let step = due.step(at, &unfinished);
        jobs += step.fires.len();
        changes.push(due.change(&step)?);
        steps.push((due.stored.name, step));
        if jobs >= MAX_JOBS {
            break;
        }
    }
    fired.next_due =
        steps.iter().filter_map(|(_, step)| step.due_at).map(|due_at| at.until(due_at)).chain(next_due).min();
    // Only if one of them fires: otherwise the next look would find the same ones.
    let has_more = is_full || jobs >= MAX_JOBS;
    let mut is_any_done = false;
    let results = store.change(ChangeSchedulesRequest::new(changes)).await?;
    for ((name, step), result) in steps.iter().zip(results) {
        match result {
            Ok(ScheduleChanged::Done(jobs)) => {
                is_any_done = true;
                report(name, at, step, &jobs);
            }
            // Another worker was first.
            Ok(_) => {}
            Err(error) => tracing::error!(schedule = %name, %error, "cannot fire a schedule; retrying"),
        }
    }
    if is_any_done {
        fired.has_more = has_more;
    } else if is_full {
        // Those that are due next have to wait for these.
        fired.next_due = None;
    }
    Ok(Some(fired))
}

fn report(name: &ScheduleName, at: Timestamp, step: &Step, jobs: &[Submitted]) {
    for (slot, job) in step.fires.iter().zip(jobs) {
        if job.insertion == Insertion::Duplicate {
            tracing::info!(schedule = %name, %slot, holder = %job.id, "the slot has no job, because another job holds its unique key");
        } else {
            tracing::debug!(schedule = %name, %slot, job = %job.id, "fired a schedule");
        }
    }
    let recent = &step.state.recent;
    let count = |outcome| recent.iter().filter(|fire| fire.at == at && fire.outcome == outcome).count();
    let (skipped, missed) = (count(FireOutcome::Skipped), count(FireOutcome::Missed));
    if missed > 0 {
        tracing::warn!(schedule = %name, missed, "slots of a schedule were missed");
    }
    if skipped > 0 {
        tracing::info!(schedule = %name, skipped, "skipped slots of a schedule, whose job before is unfinished");
    }
}

impl Due {
    fn read(stored: StoredSchedule) -> Result<Self> {
        let name = stored.name.as_str();
        let definition = Definition::read(name, &stored.definition)?;
        let rule = definition.rule(name)?;
        let state = definition::read(name, "state", &stored.state)?;
        // So that a job that cannot be built is found before anything is changed.
        definition.job(name, Timestamp::UNIX_EPOCH)?;
        Ok(Self { stored, definition, rule, state })
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
        let state = State { cancelling: None, ..self.state.clone() };
        advance(&self.rule, self.stored.name.as_str(), state, now, previous)
    }

    fn change(&self, step: &Step) -> Result<ScheduleChange> {
        let name = self.stored.name.as_str();
        let jobs = step.fires.iter().map(|slot| self.definition.job(name, *slot));
        let jobs = jobs.collect::<Result<Vec<JobSpec>>>()?;
        let mut new = self.stored.clone().due_at(step.due_at);
        new.state = step.state.write();
        new.version = ScheduleVersion::generate()?;
        Ok(ScheduleChange::replace(self.stored.version, new).jobs(jobs))
    }
}

/// The unfinished ones of the jobs before. One that cannot be read counts as unfinished, so that no
/// slot overlaps it.
async fn unfinished(backend: &dyn Backend, due: &[Due]) -> Result<HashSet<JobId>> {
    let previous: Vec<JobId> = due.iter().filter_map(Due::previous).collect();
    if previous.is_empty() {
        return Ok(HashSet::new());
    }
    let inspect = crate::backend::inspect(backend)?;
    match inspect.jobs(&previous).await {
        Ok(records) => return Ok(unfinished_of(records)),
        Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
        Err(_) => {}
    }
    let mut unfinished = HashSet::new();
    for job in previous {
        match inspect.jobs(&[job]).await {
            Ok(records) => unfinished.extend(unfinished_of(records)),
            Err(error) => {
                tracing::error!(%job, %error, "cannot read the job before; it counts as unfinished");
                unfinished.insert(job);
            }
        }
    }
    Ok(unfinished)
}

fn unfinished_of(records: Vec<Option<JobRecord>>) -> HashSet<JobId> {
    let unfinished = records.into_iter().flatten().filter(|record| !record.state.is_finished());
    unfinished.map(|record| record.job.id).collect()
}
