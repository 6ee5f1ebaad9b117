//! The schedules that a worker stores when it starts.

use std::collections::HashSet;

use super::declaration::{Declaration, Effect, MAX_ATTEMPTS, Scheduled, put_all};
use super::definition::{self, row, with_key};
use super::deployment::Deployment;
use super::state::State;
use crate::backend::{
    Backend, ChangeSchedulesRequest, DueSchedulesRequest, ScheduleChange, ScheduleChanged, ScheduleStore,
    StoredSchedule,
};
use crate::{Error, ErrorKind, Result, ScheduleName, Timestamp};

/// The number of schedules that one request stores or lists.
const PAGE: usize = 500;

/// The schedules that a program declares in code.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    names: HashSet<ScheduleName>,
    /// Those that are not stored yet.
    left: Vec<Declaration>,
    /// Those that the storage refused.
    refused: Vec<Declaration>,
    /// Those whose refusal was logged.
    reported: HashSet<ScheduleName>,
    deployment: Option<Deployment>,
}

impl Declared {
    /// Adds one.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if there is one of that name already.
    pub(crate) fn add(&mut self, new: Declaration) -> Result<()> {
        if !self.names.insert(new.name.clone()) {
            let operation = format!("declare the schedule `{}`", new.name);
            let message = "the worker has one of that name already; that of a type has the name of its kind";
            return Err(Error::new(ErrorKind::Conflict, operation, message));
        }
        self.left.push(new);
        Ok(())
    }

    /// Sets the program that they belong to.
    pub(crate) fn set_deployment(&mut self, deployment: Deployment) {
        self.deployment = Some(deployment);
    }

    /// Whether nothing is to be stored or removed.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.deployment.is_none()
    }

    /// Whether some were refused. They may be stored later, e.g. when another program has removed
    /// its own.
    pub(crate) const fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Stores those that are left, and removes those that older revisions of the program declared
    /// and this one does not.
    ///
    /// # Errors
    /// Those of the backend that go away. A part may be stored.
    ///
    /// # Cancellation
    /// If the future is dropped, a part may be stored.
    pub(crate) async fn store(&mut self, backend: &dyn Backend) -> Result<()> {
        let store = crate::backend::schedules(backend)?;
        self.left.append(&mut self.refused);
        let mut attempts = 0;
        while !self.left.is_empty() {
            let page = self.left.iter().take(PAGE).cloned();
            let page: Vec<Declaration> = page.map(|new| new.of(self.deployment.as_ref())).collect();
            let effects = put_all(store, &page).await?;
            let mut stale = Vec::new();
            for (declaration, effect) in page.into_iter().zip(effects) {
                match self.outcome(&declaration.name, effect)? {
                    Outcome::Done => {}
                    Outcome::Refused => self.refused.push(declaration),
                    Outcome::Stale => stale.push(declaration),
                }
            }
            attempts = if stale.is_empty() { 0 } else { attempts + 1 };
            self.left.splice(..PAGE.min(self.left.len()), stale);
            if attempts == MAX_ATTEMPTS {
                return Err(busy("store the schedules of the program"));
            }
        }
        match &self.deployment {
            Some(deployment) => self.remove_others(store, deployment).await,
            None => Ok(()),
        }
    }

    /// Logs the effect of a declaration.
    ///
    /// # Errors
    /// One that goes away.
    fn outcome(&mut self, schedule: &ScheduleName, effect: Result<Effect>) -> Result<Outcome> {
        match effect {
            Ok(Effect::Stale) => return Ok(Outcome::Stale),
            Ok(Effect::Stored(Scheduled::Unchanged)) => {}
            Ok(Effect::Stored(scheduled)) => tracing::info!(%schedule, ?scheduled, "stored a schedule"),
            Ok(Effect::Superseded(owner)) => {
                let this = self.deployment.as_ref().map(|deployment| deployment.revision);
                tracing::warn!(%schedule, newer = %owner, this, "left a schedule alone that a newer revision has changed or removed");
            }
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                if self.reported.insert(schedule.clone()) {
                    tracing::error!(%schedule, %error, "cannot store a schedule of the program; trying again each minute");
                }
                return Ok(Outcome::Refused);
            }
        }
        Ok(Outcome::Done)
    }

    async fn remove_others(&self, store: &dyn ScheduleStore, deployment: &Deployment) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            if self.try_remove_others(store, deployment).await? {
                return Ok(());
            }
        }
        Err(busy("remove the old schedules of the program"))
    }

    /// Returns whether no other process changed one meanwhile.
    async fn try_remove_others(&self, store: &dyn ScheduleStore, deployment: &Deployment) -> Result<bool> {
        let mut is_done = true;
        let now = store.due(DueSchedulesRequest::new(0)).await?.now;
        let mut after: Option<ScheduleName> = None;
        loop {
            let page = store.list(after.as_ref(), u32::try_from(PAGE).unwrap_or(u32::MAX)).await?;
            let Some(last) = page.last() else { return Ok(is_done) };
            after = Some(last.name.clone());
            let others = page.iter().filter(|stored| !self.names.contains(&stored.name));
            let changes: Vec<ScheduleChange> =
                others.filter_map(|stored| removal(stored, deployment, now)).collect();
            if changes.is_empty() {
                continue;
            }
            let names: Vec<ScheduleName> = changes.iter().map(|change| change.name().clone()).collect();
            let replies = store.change(ChangeSchedulesRequest::new(changes)).await?;
            for (schedule, reply) in names.iter().zip(replies) {
                match reply {
                    Ok(ScheduleChanged::Done(_)) => {
                        tracing::info!(%schedule, %deployment, "removed a schedule that the program declares no more");
                    }
                    Ok(ScheduleChanged::Stale) => is_done = false,
                    Err(error) if error.is_retryable() => return Err(error),
                    Err(error) => tracing::error!(%schedule, %error, "cannot remove an old schedule"),
                }
            }
        }
    }
}

/// The outcome of a declaration.
enum Outcome {
    Done,
    Stale,
    Refused,
}

/// The change that removes a schedule of an older revision of the program; `None` if it is none.
fn removal(stored: &StoredSchedule, deployment: &Deployment, now: Timestamp) -> Option<ScheduleChange> {
    let owner = definition::owner_of(&stored.definition)?;
    if owner.program != deployment.program || owner.revision >= deployment.revision {
        return None;
    }
    let state: State = definition::read(stored.name.as_str(), "state", &stored.state).ok()?;
    if state.removed {
        return None;
    }
    let state = State { removed: true, ..state };
    // Nothing needs the payload any more.
    let definition = with_key(&stored.definition, "owner", Some(deployment));
    let definition = definition.and_then(|text| with_key(&text, "payload", Some(&()))).ok()?;
    let new = row(&stored.name, definition, &state, state.due_at_stopped(now)).ok()?;
    Some(ScheduleChange::replace(stored.version, new))
}

fn busy(operation: &'static str) -> Error {
    Error::new(ErrorKind::Busy, operation, "other processes change them at the same time")
}

#[cfg(test)]
#[cfg(feature = "memory")]
mod tests;
