//! The schedules of a queue, for programs and operators.

use super::definition::{self, Definition};
use super::record::ScheduleRecord;
use super::rule::Rule;
use super::state::{Fire, FireOutcome, State};
use super::when::Schedule;
use crate::backend::{
    ChangeSchedulesRequest, DueSchedulesRequest, ScheduleChange, ScheduleChanged, ScheduleStore,
    ScheduleVersion, StoredSchedule,
};
use crate::limits::MAX_CATCH_UP;
use crate::{
    Error, ErrorKind, IntoJob, JobId, JobQueue, JobSpec, Result, ScheduleName, Submitted, Timestamp,
};

/// How often a change is made again that met the fire or the change of another process.
const MAX_ATTEMPTS: u32 = 20;

/// The schedules of a queue: creates, changes, pauses and lists them. [`JobQueue::schedules`]
/// returns it.
///
/// A change holds for every process as soon as it has returned: no worker fires what it removed.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{JobQueue, MemoryBackend, Schedule, Scheduled, Task};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct CleanUp { days: u32 }
///
/// impl Task for CleanUp { // or `#[derive(Task)]`
///     const KIND: &'static str = "clean-up";
///     type Output = ();
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let nightly = Schedule::cron("30 2 * * *").zone("Europe/Berlin");
/// let scheduled = jobs.schedules().put("clean-up", nightly, CleanUp { days: 30 }).await?;
/// assert_eq!(scheduled, Scheduled::Created);
///
/// let record = jobs.schedules().get("clean-up").await?.unwrap();
/// assert_eq!(record.words, "every day at 02:30 Europe/Berlin");
/// assert_eq!(record.next.len(), 5);
/// jobs.schedules().pause("clean-up").await?;
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// Each method may return:
/// - [`NotFound`](ErrorKind::NotFound): there is no schedule of that name.
/// - [`Invalid`](ErrorKind::Invalid): the name, the expression, the zone or the payload is not
///   valid. Nothing was changed.
/// - [`Busy`](ErrorKind::Busy): other processes changed the schedule each time. Try again.
/// - [`UnknownOutcome`](ErrorKind::UnknownOutcome): it may have been changed.
/// - [`Unsupported`](ErrorKind::Unsupported): the backend stores no schedules.
///
/// # Cancellation
/// If a future is dropped, the schedule was changed, or not.
#[derive(Debug, Clone, Copy)]
pub struct Schedules<'a> {
    jobs: &'a JobQueue,
}

/// The effect of a [`put`](Schedules::put).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheduled {
    /// It is new.
    Created,
    /// It existed with another definition, which was replaced. If its times have changed, its next
    /// slot is the first from now on.
    Changed,
    /// It existed with this definition, and keeps its next slot.
    Unchanged,
}

impl<'a> Schedules<'a> {
    pub(crate) const fn new(jobs: &'a JobQueue) -> Self {
        Self { jobs }
    }

    /// Creates a schedule of this name, or replaces its definition. A paused schedule stays paused.
    ///
    /// The options of the job are the ones of its task now, as in an enqueue.
    pub async fn put<J: IntoJob>(&self, name: &str, schedule: Schedule, job: J) -> Result<Scheduled> {
        let name = ScheduleName::new(name)?;
        let mut job = job.into_job()?;
        let unique = job.unique.take().map(|unique| *unique);
        let prepared = self.jobs.prepare(vec![job])?.into_jobs().pop();
        let missing = || Error::invalid("create a schedule", "there is no job");
        let definition = Definition::new(schedule.clone(), &prepared.ok_or_else(missing)?, unique)?;
        let rule = schedule.rule().map_err(|error| refused(&name, error))?;
        // So that a job that cannot be built is refused now.
        let job = definition.job(name.as_str(), Timestamp::UNIX_EPOCH)?;
        rule.check(&job, self.now().await?).map_err(|error| refused(&name, error))?;
        for _ in 0..MAX_ATTEMPTS {
            let stored = self.stored(&name).await?;
            let now = self.now().await?;
            let (mut state, scheduled) = match &stored {
                None => (State::default(), Scheduled::Created),
                Some(stored) => {
                    let mut state: State = definition::read(name.as_str(), "state", &stored.state)?;
                    // A definition of another version that cannot be read is replaced.
                    match Definition::read(name.as_str(), &stored.definition) {
                        Ok(old) if old == definition => return Ok(Scheduled::Unchanged),
                        // Of another job at the same times no slot may be lost.
                        Ok(old) if old.when == definition.when => {}
                        _ => state = State { next: rule.next_after(now), waiting: None, ..state },
                    }
                    (state, Scheduled::Changed)
                }
            };
            if scheduled == Scheduled::Created {
                state.next = rule.next_after(now);
            }
            let new = Changed { name: &name, rule: &rule, state, now };
            let new = new.schedule(definition.write())?;
            let change = match stored {
                None => ScheduleChange::create(new),
                Some(stored) => ScheduleChange::replace(stored.version, new),
            };
            if self.change(change).await?.is_some() {
                return Ok(scheduled);
            }
        }
        Err(busy(&name))
    }

    /// Returns a schedule; `None` if there is none of that name.
    pub async fn get(&self, name: &str) -> Result<Option<ScheduleRecord>> {
        self.stored(&ScheduleName::new(name)?).await?.map(ScheduleRecord::read).transpose()
    }

    /// Returns up to `limit` schedules in the order of their names, from the first after `after`
    /// on.
    pub async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<ScheduleRecord>> {
        self.store()?.list(after, limit).await?.into_iter().map(ScheduleRecord::read).collect()
    }

    /// Pauses a schedule. No slot fires until it is resumed. A slot that waits for the job before
    /// is skipped.
    pub async fn pause(&self, name: &str) -> Result<()> {
        self.edit(name, |edit| {
            edit.state.paused = true;
            edit.state.waiting = None;
            Ok(())
        })
        .await
        .map(|((), _)| ())
    }

    /// Resumes a schedule. The slots that passed while it was paused do not fire.
    pub async fn resume(&self, name: &str) -> Result<()> {
        self.edit(name, |edit| {
            if std::mem::replace(&mut edit.state.paused, false) {
                // Not before a slot that follows a skipped one.
                edit.state.next = edit.upcoming();
            }
            Ok(())
        })
        .await
        .map(|((), _)| ())
    }

    /// Skips the first slot from now on, and returns it; `None` if there is none. Slots that have
    /// passed and did not fire yet do not fire either.
    pub async fn skip_next(&self, name: &str) -> Result<Option<Timestamp>> {
        self.edit(name, |edit| {
            let skipped = edit.upcoming();
            if let Some(slot) = skipped {
                let outcome = FireOutcome::Skipped;
                edit.state.add(Fire { slot, at: edit.now, outcome, job: None });
                edit.state.next = edit.rule.next_after(slot);
            }
            Ok(skipped)
        })
        .await
        .map(|(skipped, _)| skipped)
    }

    /// Inserts a job now, apart from the slots, whatever the schedule says about a pause or an
    /// overlap. Returns its id, or the job that holds its unique key.
    pub async fn run_now(&self, name: &str) -> Result<JobId> {
        let id = JobId::generate();
        self.edit(name, |edit| {
            let outcome = FireOutcome::ByHand;
            edit.state.add(Fire { slot: edit.now, at: edit.now, outcome, job: Some(id) });
            edit.jobs.push(edit.definition.job_with_id(name, edit.now, id)?);
            Ok(())
        })
        .await
        .map(|((), submitted)| submitted.first().map_or(id, |job| job.id))
    }

    /// Inserts the jobs of all slots from `from` to `to`, both included, that have none, and
    /// returns their ids. There may be at most [`MAX_CATCH_UP`] slots.
    ///
    /// A slot that fired already has its job still, unless that was pruned.
    pub async fn backfill(&self, name: &str, from: Timestamp, to: Timestamp) -> Result<Vec<JobId>> {
        self.edit(name, |edit| {
            let most = usize::try_from(MAX_CATCH_UP).unwrap_or(usize::MAX);
            let slots = edit.rule.slots_from(from).take_while(|slot| *slot <= to);
            let slots: Vec<Timestamp> = slots.take(most + 1).collect();
            if slots.len() > most {
                let message = format!("there are more than {MAX_CATCH_UP} slots from {from} to {to}");
                return Err(Error::invalid(format!("backfill the schedule `{name}`"), message));
            }
            let jobs = slots.iter().map(|slot| edit.definition.job(name, *slot));
            edit.jobs = jobs.collect::<Result<Vec<JobSpec>>>()?;
            Ok(())
        })
        .await
        .map(|((), submitted)| submitted.iter().filter(|job| job.is_new()).map(|job| job.id).collect())
    }

    /// Deletes a schedule. Its jobs stay.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let name = ScheduleName::new(name)?;
        for _ in 0..MAX_ATTEMPTS {
            let stored = self.stored(&name).await?.ok_or_else(|| missing(&name))?;
            if self.change(ScheduleChange::delete(name.clone(), stored.version)).await?.is_some() {
                return Ok(());
            }
        }
        Err(busy(&name))
    }

    /// Changes the state of a schedule. Repeats it if another change comes between. Also returns
    /// which of the jobs were stored.
    async fn edit<T>(
        &self,
        name: &str,
        edit: impl Fn(&mut Edit) -> Result<T>,
    ) -> Result<(T, Vec<Submitted>)> {
        let name = ScheduleName::new(name)?;
        for _ in 0..MAX_ATTEMPTS {
            let stored = self.stored(&name).await?.ok_or_else(|| missing(&name))?;
            let definition = Definition::read(name.as_str(), &stored.definition)?;
            let rule = definition.when.clone().rule()?;
            let state = definition::read(name.as_str(), "state", &stored.state)?;
            let mut editing = Edit { definition, rule, state, now: self.now().await?, jobs: Vec::new() };
            let result = edit(&mut editing)?;
            let Edit { rule, state, jobs, now, .. } = editing;
            let new = Changed { name: &name, rule: &rule, state, now }.schedule(stored.definition)?;
            let change = ScheduleChange::replace(stored.version, new).jobs(jobs);
            if let Some(submitted) = self.change(change).await? {
                return Ok((result, submitted));
            }
        }
        Err(busy(&name))
    }

    /// Returns which of the jobs were stored; `None` if the change did not happen.
    async fn change(&self, change: ScheduleChange) -> Result<Option<Vec<Submitted>>> {
        let name = change.name().clone();
        let result = self.store()?.change(ChangeSchedulesRequest::new(vec![change])).await?.pop();
        let missing =
            || Error::new(ErrorKind::Corrupt, format!("change the schedule `{name}`"), "there is no reply");
        Ok(match result.ok_or_else(missing)?? {
            ScheduleChanged::Done(submitted) => Some(submitted),
            ScheduleChanged::Stale => None,
        })
    }

    async fn stored(&self, name: &ScheduleName) -> Result<Option<StoredSchedule>> {
        Ok(self.store()?.get(std::slice::from_ref(name)).await?.pop().flatten())
    }

    /// The time of the storage.
    async fn now(&self) -> Result<Timestamp> {
        Ok(self.store()?.due(DueSchedulesRequest::new(0)).await?.now)
    }

    fn store(&self) -> Result<&'a dyn ScheduleStore> {
        crate::backend::schedules(&**self.jobs.backend())
    }
}

/// A schedule that is being edited.
struct Edit {
    definition: Definition,
    rule: Rule,
    state: State,
    now: Timestamp,
    jobs: Vec<JobSpec>,
}

/// A schedule with a new state.
struct Changed<'a> {
    name: &'a ScheduleName,
    rule: &'a Rule,
    state: State,
    now: Timestamp,
}

impl Edit {
    /// The first slot from now on that was not skipped.
    fn upcoming(&self) -> Option<Timestamp> {
        Some(self.state.next?.max(self.rule.next_after(self.now)?))
    }
}

impl Changed<'_> {
    fn schedule(&self, definition: String) -> Result<StoredSchedule> {
        let due_at = self.state.due_at(self.rule, self.name.as_str(), self.now);
        let version = ScheduleVersion::generate()?;
        Ok(StoredSchedule::new(self.name.clone(), version, definition, self.state.write()).due_at(due_at))
    }
}

fn missing(name: &ScheduleName) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("change the schedule `{name}`"),
        "there is no schedule of that name",
    )
}

fn refused(name: &ScheduleName, error: Error) -> Error {
    Error::invalid(format!("create the schedule `{name}`"), error.message().to_owned()).with_source(error)
}

fn busy(name: &ScheduleName) -> Error {
    let message = "other processes change it at the same time";
    Error::new(ErrorKind::Busy, format!("change the schedule `{name}`"), message)
}
