//! The schedules of a queue, for programs and operators.

use super::declaration::{Declaration, Effect, MAX_ATTEMPTS, Scheduled, put_all};
use super::definition::{self, Definition, row, with_key};
use super::record::ScheduleRecord;
use super::rule::Rule;
use super::state::{Fire, FireOutcome, State};
use super::when::Schedule;
use crate::backend::{
    ChangeSchedulesRequest, DueSchedulesRequest, ScheduleChange, ScheduleChanged, ScheduleStore,
    StoredSchedule,
};
use crate::limits::MAX_CATCH_UP;
use crate::{
    Error, ErrorKind, IntoJob, JobId, JobQueue, JobSpec, Result, ScheduleName, Submitted, Timestamp,
};

/// The fewest rows that a list reads at once, because it leaves out some.
const LEAST_PAGE: u32 = 100;

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

impl<'a> Schedules<'a> {
    pub(crate) const fn new(jobs: &'a JobQueue) -> Self {
        Self { jobs }
    }

    /// Creates a schedule of this name, or replaces its definition. A paused schedule stays paused,
    /// and what an operator has [edited](Self::edit) holds.
    ///
    /// The options of the job are the ones of its task now, as in an enqueue.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if the schedule belongs to a
    /// [deployment](crate::Deployment).
    pub async fn put<J: IntoJob>(&self, name: &str, schedule: Schedule, job: J) -> Result<Scheduled> {
        let declaration = Declaration::new(self.jobs, name, schedule, job)?;
        let declarations = std::slice::from_ref(&declaration);
        for _ in 0..MAX_ATTEMPTS {
            let effect = put_all(self.store()?, declarations).await?.pop();
            match effect.ok_or_else(|| no_reply(&declaration.name))?? {
                Effect::Stored(scheduled) => return Ok(scheduled),
                Effect::Superseded(_) | Effect::Stale => {}
            }
        }
        Err(busy(&declaration.name))
    }

    /// Sets another schedule than that of the program, until it is [reset](Self::reset): its times
    /// and all of its rules. Whatever the program puts meanwhile, that of the operator holds. If
    /// its slots are others, the next one is the first from now on.
    ///
    /// To change a part, start from the [record](ScheduleRecord::schedule):
    ///
    /// ```
    /// # use queue_core::{JobQueue, Result};
    /// # async fn example(jobs: &JobQueue) -> Result<()> {
    /// if let Some(record) = jobs.schedules().get("clean-up").await? {
    ///     jobs.schedules().edit("clean-up", record.schedule.with_cron("0 4 * * *")).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn edit(&self, name: &str, schedule: Schedule) -> Result<()> {
        self.set_schedule(name, Some(schedule)).await
    }

    /// Takes back what an operator has [edited](Self::edit): the schedule of the program holds
    /// again.
    pub async fn reset(&self, name: &str) -> Result<()> {
        self.set_schedule(name, None).await
    }

    async fn set_schedule(&self, name: &str, schedule: Option<Schedule>) -> Result<()> {
        self.change_state(name, |edit| {
            let before = edit.definition.schedule().clone();
            edit.definition.edited.clone_from(&schedule);
            if schedule.is_some() {
                edit.definition.check(edit.name, edit.now)?;
            }
            edit.text = with_key(&edit.text, "edited", schedule.as_ref())?;
            if !before.has_slots_of(edit.definition.schedule()) {
                edit.state.next = edit.rule()?.next_after(edit.now);
            }
            Ok(())
        })
        .await
        .map(|((), _)| ())
    }

    /// Returns a schedule; `None` if there is none of that name.
    pub async fn get(&self, name: &str) -> Result<Option<ScheduleRecord>> {
        let stored = self.stored(&ScheduleName::new(name)?).await?;
        stored.map(ScheduleRecord::read).transpose().map(Option::flatten)
    }

    /// Returns up to `limit` schedules in the order of their names, from the first after `after`
    /// on. One that another version wrote, and this one cannot read, is logged and left out.
    pub async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<ScheduleRecord>> {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut records = Vec::new();
        let mut after = after.cloned();
        // Rows that a deployment has removed do not count.
        while records.len() < wanted {
            let page = self.store()?.list(after.as_ref(), limit.max(LEAST_PAGE)).await?;
            let is_last = page.len() < wanted.max(LEAST_PAGE as usize);
            after = page.last().map(|stored| stored.name.clone()).or(after);
            for stored in page {
                match ScheduleRecord::read(stored) {
                    Ok(record) => records.extend(record),
                    Err(error) => tracing::error!(%error, "left a schedule out of the list"),
                }
            }
            if is_last {
                break;
            }
        }
        records.truncate(wanted);
        Ok(records)
    }

    /// Pauses a schedule. No slot fires until it is resumed. A slot that waits for the job before
    /// is skipped.
    pub async fn pause(&self, name: &str) -> Result<()> {
        self.change_state(name, |edit| {
            edit.state.paused = true;
            edit.state.waiting = None;
            Ok(())
        })
        .await
        .map(|((), _)| ())
    }

    /// Resumes a schedule. The slots that passed while it was paused do not fire.
    pub async fn resume(&self, name: &str) -> Result<()> {
        self.change_state(name, |edit| {
            if std::mem::replace(&mut edit.state.paused, false) {
                // Not before a slot that follows a skipped one.
                edit.state.next = edit.upcoming()?;
            }
            Ok(())
        })
        .await
        .map(|((), _)| ())
    }

    /// Skips the first slot from now on, and returns it; `None` if there is none. Slots that have
    /// passed and did not fire yet do not fire either.
    pub async fn skip_next(&self, name: &str) -> Result<Option<Timestamp>> {
        self.change_state(name, |edit| {
            let skipped = edit.upcoming()?;
            if let Some(slot) = skipped {
                let outcome = FireOutcome::Skipped;
                edit.state.add(Fire { slot, at: edit.now, outcome, job: None });
                edit.state.next = edit.rule()?.next_after(slot);
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
        self.change_state(name, |edit| {
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
        self.change_state(name, |edit| {
            let most = usize::try_from(MAX_CATCH_UP).unwrap_or(usize::MAX);
            let rule = edit.rule()?;
            let slots = rule.slots_from(from).take_while(|slot| *slot <= to);
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

    /// Deletes a schedule, also one that its program has removed. Its jobs stay. A program that
    /// still declares it creates it again when it starts: [`pause`](Self::pause) stops it for
    /// longer.
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

    /// Changes a schedule. Repeats it if another change comes between. Also returns which of the
    /// jobs were stored.
    async fn change_state<T>(
        &self,
        name: &str,
        change: impl Fn(&mut Edit<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Submitted>)> {
        let name = ScheduleName::new(name)?;
        for _ in 0..MAX_ATTEMPTS {
            let stored = self.stored(&name).await?.ok_or_else(|| missing(&name))?;
            let expected = stored.version;
            let mut edit = Edit::read(&name, stored, self.now().await?)?;
            if edit.state.removed {
                return Err(missing(&name));
            }
            let result = change(&mut edit)?;
            let jobs = std::mem::take(&mut edit.jobs);
            let change = ScheduleChange::replace(expected, edit.row()?).jobs(jobs);
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
        Ok(match result.ok_or_else(|| no_reply(&name))?? {
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

/// A schedule that is being changed.
struct Edit<'a> {
    name: &'a ScheduleName,
    definition: Definition,
    /// The definition as it is stored, with what another version may have written.
    text: String,
    state: State,
    now: Timestamp,
    jobs: Vec<JobSpec>,
}

impl<'a> Edit<'a> {
    fn read(name: &'a ScheduleName, stored: StoredSchedule, now: Timestamp) -> Result<Self> {
        let definition = Definition::read(name.as_str(), &stored.definition)?;
        let state = definition::read(name.as_str(), "state", &stored.state)?;
        Ok(Self { name, definition, text: stored.definition, state, now, jobs: Vec::new() })
    }

    fn rule(&self) -> Result<Rule> {
        self.definition.rule(self.name.as_str())
    }

    /// The first slot from now on that was not skipped.
    fn upcoming(&self) -> Result<Option<Timestamp>> {
        let first = self.rule()?.next_after(self.now);
        Ok(self.state.next.zip(first).map(|(next, first)| next.max(first)))
    }

    fn row(self) -> Result<StoredSchedule> {
        let due_at = self.definition.due_at(&self.state, self.name.as_str(), self.now)?;
        row(self.name, self.text, &self.state, due_at)
    }
}

fn missing(name: &ScheduleName) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("change the schedule `{name}`"),
        "there is no schedule of that name",
    )
}

fn no_reply(name: &ScheduleName) -> Error {
    Error::new(ErrorKind::Corrupt, format!("change the schedule `{name}`"), "there is no reply")
}

fn busy(name: &ScheduleName) -> Error {
    let message = "other processes change it at the same time";
    Error::new(ErrorKind::Busy, format!("change the schedule `{name}`"), message)
}
