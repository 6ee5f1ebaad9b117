//! A schedule as a program puts it, and its effect on what is stored.

use std::cmp::Ordering;

use super::definition::{self, Definition, row};
use super::deployment::Deployment;
use super::state::State;
use super::when::Schedule;
use crate::backend::{
    ChangeSchedulesRequest, DueSchedulesRequest, ScheduleChange, ScheduleChanged, ScheduleStore,
    StoredSchedule,
};
use crate::{Error, ErrorKind, IntoJob, JobQueue, Result, ScheduleName, Timestamp};

/// How often a change is made again that met the fire or the change of another process.
pub(super) const MAX_ATTEMPTS: u32 = 20;

/// The effect of a [`put`](crate::Schedules::put).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheduled {
    /// It is new.
    Created,
    /// It existed with another definition, which was replaced. If its slots have changed, the next
    /// one is the first from now on. If an operator has [set](crate::Schedules::edit) its times,
    /// these still hold.
    Changed,
    /// It existed with this definition, and keeps its next slot.
    Unchanged,
}

/// A checked schedule of a program.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub(crate) name: ScheduleName,
    definition: Definition,
}

/// The effect of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Stored(Scheduled),
    /// This newer revision of the program has changed or removed it.
    Superseded(Deployment),
    /// Another process changed it at the same time, so nothing happened.
    Stale,
}

/// What a declaration does to a stored schedule.
enum Plan {
    Nothing(Effect),
    Write(Scheduled, ScheduleChange),
}

/// Who declares a schedule, beside the one to whom it belongs.
enum Standing {
    /// It has no owner.
    Free,
    /// Another program, or none.
    Other(Deployment),
    /// An older revision of the same program.
    Older(Deployment),
    Same,
    Newer,
}

impl Declaration {
    /// Checks all parts.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) names what is wrong.
    pub(crate) fn new<J: IntoJob>(jobs: &JobQueue, name: &str, schedule: Schedule, job: J) -> Result<Self> {
        let name = ScheduleName::new(name)?;
        let mut job = job.into_job()?;
        let unique = job.unique.take().map(|unique| *unique);
        let prepared = jobs.prepare(vec![job])?.into_jobs().pop();
        let missing = || Error::invalid("create a schedule", "there is no job");
        let definition = Definition::new(schedule, &prepared.ok_or_else(missing)?, unique)?;
        definition.check(&name, Timestamp::now())?;
        Ok(Self { name, definition })
    }

    /// The same, as one of the program of this deployment.
    #[cfg(feature = "runtime")]
    pub(crate) fn of(mut self, deployment: Option<&Deployment>) -> Self {
        self.definition.owner = deployment.cloned();
        self
    }

    fn plan(&self, stored: Option<StoredSchedule>, now: Timestamp) -> Result<Plan> {
        let name = self.name.as_str();
        let Some(stored) = stored else {
            let row = self.row_from_now_on(&self.definition, State::default(), now)?;
            return Ok(Plan::Write(Scheduled::Created, ScheduleChange::create(row)));
        };
        let state: State = definition::read(name, "state", &stored.state)?;
        match (self.standing(definition::owner_of(&stored.definition)), state.removed) {
            (Standing::Older(owner), _) => Ok(Plan::Nothing(Effect::Superseded(owner))),
            (Standing::Other(owner), false) => {
                let message =
                    format!("it belongs to the program {owner}; edit its times, or delete it first");
                Err(Error::new(ErrorKind::Conflict, format!("put the schedule `{name}`"), message))
            }
            (Standing::Newer | Standing::Other(_), true) => {
                let row = self.row_from_now_on(&self.definition, state.declared_again(), now)?;
                Ok(Plan::Write(Scheduled::Created, ScheduleChange::replace(stored.version, row)))
            }
            // If it was removed, then by a worker of this revision that does not declare it.
            (Standing::Free | Standing::Newer | Standing::Same, _) => self.plan_change(&stored, state, now),
        }
    }

    /// What a declaration does to a stored schedule that it may change.
    fn plan_change(&self, stored: &StoredSchedule, state: State, now: Timestamp) -> Result<Plan> {
        // A definition of another version that cannot be read is replaced.
        let old = Definition::read(self.name.as_str(), &stored.definition).ok();
        let mut new = self.definition.clone();
        new.edited = old.as_ref().and_then(|old| old.edited.clone());
        let is_same = old.as_ref().is_some_and(|old| old.says_the_same(&new));
        if is_same && !state.removed && old.as_ref().is_some_and(|old| old.owner == new.owner) {
            return Ok(Plan::Nothing(Effect::Stored(Scheduled::Unchanged)));
        }
        if new.edited.is_some() {
            new.check(&self.name, now)?;
        }
        let state = State { removed: false, ..state };
        // Of the same slots none may be lost.
        let row = if old.is_some_and(|old| old.schedule().has_slots_of(new.schedule())) {
            self.row(&new, &state, now)?
        } else {
            self.row_from_now_on(&new, state, now)?
        };
        let scheduled = if is_same { Scheduled::Unchanged } else { Scheduled::Changed };
        Ok(Plan::Write(scheduled, ScheduleChange::replace(stored.version, row)))
    }

    fn row_from_now_on(
        &self,
        definition: &Definition,
        state: State,
        now: Timestamp,
    ) -> Result<StoredSchedule> {
        let next = definition.rule(self.name.as_str())?.next_after(now);
        self.row(definition, &State { next, ..state }, now)
    }

    fn row(&self, definition: &Definition, state: &State, now: Timestamp) -> Result<StoredSchedule> {
        let due_at = definition.due_at(state, self.name.as_str(), now)?;
        row(&self.name, definition.write(), state, due_at)
    }

    fn standing(&self, owner: Option<Deployment>) -> Standing {
        match (owner, &self.definition.owner) {
            (None, _) => Standing::Free,
            (Some(theirs), Some(mine)) if theirs.program == mine.program => {
                match mine.revision.cmp(&theirs.revision) {
                    Ordering::Less => Standing::Older(theirs),
                    Ordering::Equal => Standing::Same,
                    Ordering::Greater => Standing::Newer,
                }
            }
            (Some(theirs), _) => Standing::Other(theirs),
        }
    }
}

/// Stores declarations, each of another name. Returns the effect of each.
///
/// # Errors
/// The outer error is one of the backend, and means that a part may be stored. The inner ones
/// concern one declaration.
pub(crate) async fn put_all(
    store: &dyn ScheduleStore,
    declarations: &[Declaration],
) -> Result<Vec<Result<Effect>>> {
    let names: Vec<ScheduleName> = declarations.iter().map(|new| new.name.clone()).collect();
    let stored = store.get(&names).await?;
    let now = store.due(DueSchedulesRequest::new(0)).await?.now;
    let mut writes = Vec::new();
    let mut changes = Vec::new();
    let mut effects: Vec<Result<Effect>> = Vec::new();
    for (index, (declaration, stored)) in declarations.iter().zip(stored).enumerate() {
        effects.push(declaration.plan(stored, now).map(|plan| match plan {
            Plan::Nothing(effect) => effect,
            Plan::Write(scheduled, change) => {
                writes.push((index, scheduled));
                changes.push(change);
                Effect::Stale
            }
        }));
    }
    if changes.is_empty() {
        return Ok(effects);
    }
    let replies = store.change(ChangeSchedulesRequest::new(changes)).await?;
    for ((index, scheduled), reply) in writes.into_iter().zip(replies) {
        if let Some(effect) = effects.get_mut(index) {
            *effect = reply.map(|reply| match reply {
                ScheduleChanged::Done(_) => Effect::Stored(scheduled),
                ScheduleChanged::Stale => Effect::Stale,
            });
        }
    }
    Ok(effects)
}
