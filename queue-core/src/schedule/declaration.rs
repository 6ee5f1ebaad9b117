//! A schedule as a program puts it, and its effect on what is stored.

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
    /// It existed with another definition, which was replaced. If its times have changed, its next
    /// slot is the first from now on.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Stored(Scheduled),
    /// A newer revision of the program has changed or removed it.
    Superseded,
    /// Another process changed it at the same time, so nothing happened.
    Stale,
}

/// What a declaration does to a stored schedule.
enum Plan {
    Nothing(Effect),
    Write(Scheduled, ScheduleChange),
}

impl Declaration {
    /// Checks all parts.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) names the schedule, and what is wrong with it.
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
        let mut new = self.definition.clone();
        let Some(stored) = stored else {
            let rule = new.rule()?;
            let state = State { next: rule.next_after(now), ..State::default() };
            let change = ScheduleChange::create(row(&self.name, new.write(), &rule, &state, now)?);
            return Ok(Plan::Write(Scheduled::Created, change));
        };
        let state: State = definition::read(name, "state", &stored.state)?;
        // A definition of another version that cannot be read is replaced.
        let old = Definition::read(name, &stored.definition).ok();
        if let Some(old) = &old {
            if self.is_superseded(old, &state)? {
                return Ok(Plan::Nothing(Effect::Superseded));
            }
            new.edited = old.edited.clone().filter(|_| !state.removed);
        }
        let old = old.filter(|_| !state.removed);
        let is_same = old.as_ref().is_some_and(|old| old.says_the_same(&new));
        if is_same && old.as_ref().is_some_and(|old| old.owner == new.owner) {
            return Ok(Plan::Nothing(Effect::Stored(Scheduled::Unchanged)));
        }
        let scheduled = match (state.removed, is_same) {
            (true, _) => Scheduled::Created,
            (false, true) => Scheduled::Unchanged,
            (false, false) => Scheduled::Changed,
        };
        let rule = new.rule()?;
        // Of another job at the same times no slot may be lost.
        let state = if old.is_some_and(|old| old.times() == new.times()) {
            state
        } else {
            State { next: rule.next_after(now), waiting: None, removed: false, ..state }
        };
        let change =
            ScheduleChange::replace(stored.version, row(&self.name, new.write(), &rule, &state, now)?);
        Ok(Plan::Write(scheduled, change))
    }

    /// Returns whether a newer revision of the same program has declared or removed it.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if it belongs to another program.
    fn is_superseded(&self, old: &Definition, state: &State) -> Result<bool> {
        let Some(owner) = &old.owner else { return Ok(false) };
        match &self.definition.owner {
            Some(new) if new.program == owner.program => Ok(new.revision < owner.revision),
            _ if state.removed => Ok(false),
            _ => {
                let operation = format!("put the schedule `{}`", self.name);
                let message = format!(
                    "it belongs to the program {owner}; edit its times, or delete it so that it belongs to nobody"
                );
                Err(Error::new(ErrorKind::Conflict, operation, message))
            }
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
