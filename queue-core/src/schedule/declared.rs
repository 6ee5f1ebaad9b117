//! The schedules that a worker stores when it starts.

use super::declaration::{Declaration, Effect, MAX_ATTEMPTS, Scheduled, put_all};
use super::definition::{self, Definition, row};
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
    all: Vec<Declaration>,
    pub(crate) deployment: Option<Deployment>,
}

impl Declared {
    /// Adds one.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if there is one of that name already.
    pub(crate) fn add(&mut self, new: Declaration) -> Result<()> {
        if self.all.iter().any(|old| old.name == new.name) {
            let operation = format!("declare the schedule `{}`", new.name);
            return Err(Error::new(ErrorKind::Conflict, operation, "it is declared already"));
        }
        self.all.push(new);
        Ok(())
    }

    /// Whether nothing is to be stored or removed.
    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty() && self.deployment.is_none()
    }

    /// Stores all, and removes those that older revisions of the program declared and this one
    /// does not.
    ///
    /// # Errors
    /// Those of the backend. A part may be stored, and the whole may be repeated.
    ///
    /// # Cancellation
    /// If the future is dropped, a part may be stored.
    pub(crate) async fn store(&self, backend: &dyn Backend) -> Result<()> {
        let store = crate::backend::schedules(backend)?;
        let all: Vec<Declaration> =
            self.all.iter().map(|new| new.clone().of(self.deployment.as_ref())).collect();
        for page in all.chunks(PAGE) {
            put_page(store, page).await?;
        }
        let Some(deployment) = &self.deployment else { return Ok(()) };
        for _ in 0..MAX_ATTEMPTS {
            if self.remove_others(store, deployment).await? {
                return Ok(());
            }
        }
        let message = "other processes change them at the same time";
        Err(Error::new(ErrorKind::Busy, format!("remove old schedules of {deployment}"), message))
    }

    /// Returns whether no other process changed one meanwhile.
    async fn remove_others(&self, store: &dyn ScheduleStore, deployment: &Deployment) -> Result<bool> {
        let mut is_done = true;
        let now = store.due(DueSchedulesRequest::new(0)).await?.now;
        let mut after: Option<ScheduleName> = None;
        loop {
            let page = store.list(after.as_ref(), u32::try_from(PAGE).unwrap_or(u32::MAX)).await?;
            let Some(last) = page.last() else { return Ok(is_done) };
            after = Some(last.name.clone());
            let others = page.iter().filter(|stored| self.all.iter().all(|new| new.name != stored.name));
            let changes = others.filter_map(|stored| removal(stored, deployment, now).transpose());
            let changes = changes.collect::<Result<Vec<ScheduleChange>>>()?;
            if changes.is_empty() {
                continue;
            }
            let names: Vec<ScheduleName> = changes.iter().map(|change| change.name().clone()).collect();
            let replies = store.change(ChangeSchedulesRequest::new(changes)).await?;
            for (schedule, reply) in names.iter().zip(replies) {
                match reply? {
                    ScheduleChanged::Done(_) => {
                        tracing::info!(%schedule, %deployment, "removed a schedule that the program declares no more");
                    }
                    ScheduleChanged::Stale => is_done = false,
                }
            }
        }
    }
}

/// The change that removes a schedule of an older revision of the program; `None` if it is none.
fn removal(
    stored: &StoredSchedule,
    deployment: &Deployment,
    now: Timestamp,
) -> Result<Option<ScheduleChange>> {
    let name = stored.name.as_str();
    // What cannot be read is of a newer version, and not ours to remove.
    let Ok(mut definition) = Definition::read(name, &stored.definition) else { return Ok(None) };
    let Ok(state) = definition::read::<State>(name, "state", &stored.state) else { return Ok(None) };
    let is_older = |owner: &Deployment| {
        owner.program == deployment.program && owner.revision < deployment.revision && !state.removed
    };
    if !definition.owner.as_ref().is_some_and(is_older) {
        return Ok(None);
    }
    let Ok(rule) = definition.rule() else { return Ok(None) };
    definition.owner = Some(deployment.clone());
    let state = State { removed: true, waiting: None, ..state };
    let new = row(&stored.name, definition.write(), &rule, &state, now)?;
    Ok(Some(ScheduleChange::replace(stored.version, new)))
}

/// Stores some of them. Workers that start together change the same rows, so it tries again.
async fn put_page(store: &dyn ScheduleStore, page: &[Declaration]) -> Result<()> {
    let mut left = page.to_vec();
    for _ in 0..MAX_ATTEMPTS {
        let effects = put_all(store, &left).await?;
        let mut stale = Vec::new();
        for (declaration, effect) in left.into_iter().zip(effects) {
            if !is_done(&declaration.name, effect)? {
                stale.push(declaration);
            }
        }
        if stale.is_empty() {
            return Ok(());
        }
        left = stale;
    }
    let message = format!("other processes change {} of them at the same time", left.len());
    Err(Error::new(ErrorKind::Busy, "store the schedules of the program", message))
}

/// Reports the effect, and returns whether no further try is needed.
///
/// # Errors
/// One that goes away. One that does not is logged: the others are stored all the same.
fn is_done(schedule: &ScheduleName, effect: Result<Effect>) -> Result<bool> {
    match effect {
        Ok(Effect::Stale) => return Ok(false),
        Ok(Effect::Stored(Scheduled::Unchanged)) => {}
        Ok(Effect::Stored(scheduled)) => tracing::info!(%schedule, ?scheduled, "stored a schedule"),
        Ok(Effect::Superseded) => {
            tracing::info!(%schedule, "left a schedule alone that a newer revision has changed or removed");
        }
        Err(error) if error.kind().is_final() => {
            tracing::error!(%schedule, %error, "cannot store a schedule of the program");
        }
        Err(error) => return Err(error),
    }
    Ok(true)
}

#[cfg(test)]
#[cfg(feature = "memory")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{JobQueue, MemoryBackend, NewJob, Overlap, Payload, Schedule, ScheduleRecord};

    fn queue() -> JobQueue {
        JobQueue::new(Arc::new(MemoryBackend::new()))
    }

    fn hourly() -> Schedule {
        Schedule::cron("0 * * * *")
    }

    fn daily() -> Schedule {
        Schedule::cron("30 2 * * *")
    }

    fn job(payload: u32) -> NewJob {
        NewJob::new("clean-up".parse().unwrap(), Payload::json(payload.to_string()).unwrap())
    }

    /// What a program of this revision declares.
    fn program(jobs: &JobQueue, revision: u64, schedules: &[(&str, Schedule)]) -> Declared {
        let mut declared =
            Declared { deployment: Some(Deployment::new("shop", revision)), ..Declared::default() };
        for (name, schedule) in schedules {
            declared.add(Declaration::new(jobs, name, schedule.clone(), job(1)).unwrap()).unwrap();
        }
        declared
    }

    async fn start(jobs: &JobQueue, revision: u64, schedules: &[(&str, Schedule)]) {
        program(jobs, revision, schedules).store(&**jobs.backend()).await.unwrap();
    }

    async fn names(jobs: &JobQueue) -> Vec<String> {
        let records = jobs.schedules().list(None, 100).await.unwrap();
        records.iter().map(|record| record.name.to_string()).collect()
    }

    async fn record(jobs: &JobQueue, name: &str) -> ScheduleRecord {
        jobs.schedules().get(name).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn older_process_does_not_bring_back_what_was_removed() {
        let jobs = queue();
        start(&jobs, 7, &[("a", hourly()), ("b", hourly())]).await;
        start(&jobs, 8, &[("a", daily())]).await;
        assert_eq!(names(&jobs).await, ["a"]);
        assert_eq!(jobs.schedules().get("b").await.unwrap(), None);
        start(&jobs, 7, &[("a", hourly()), ("b", hourly())]).await;
        assert_eq!(names(&jobs).await, ["a"]);
        assert_eq!(record(&jobs, "a").await.schedule, daily());
        for error in [
            jobs.schedules().pause("b").await.unwrap_err(),
            jobs.schedules().run_now("b").await.unwrap_err(),
            jobs.schedules().delete("b").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
        start(&jobs, 9, &[("a", daily()), ("b", hourly())]).await;
        let record = record(&jobs, "b").await;
        assert_eq!(record.owner, Some(Deployment::new("shop", 9)));
        assert_eq!(record.next.len(), 5, "it fires again");
    }

    #[tokio::test]
    async fn deployment_leaves_the_schedules_of_others_alone() {
        let jobs = queue();
        jobs.schedules().put("by-hand", hourly(), job(1)).await.unwrap();
        let mut mail = program(&jobs, 1, &[("mail", hourly())]);
        mail.deployment = Some(Deployment::new("mail", 1));
        mail.store(&**jobs.backend()).await.unwrap();
        start(&jobs, 7, &[("a", hourly())]).await;
        start(&jobs, 7, &[("b", hourly())]).await;
        assert_eq!(names(&jobs).await, ["a", "b", "by-hand", "mail"], "one revision may have two workers");
        start(&jobs, 8, &[]).await;
        assert_eq!(names(&jobs).await, ["by-hand", "mail"]);
    }

    #[tokio::test]
    async fn schedule_of_a_program_is_not_put_by_another() {
        let jobs = queue();
        start(&jobs, 7, &[("a", hourly())]).await;
        let error = jobs.schedules().put("a", daily(), job(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("shop (revision 7)"), "{error}");
        assert_eq!(record(&jobs, "a").await.schedule, hourly());
        start(&jobs, 8, &[]).await;
        let put = jobs.schedules().put("a", daily(), job(1)).await.unwrap();
        assert_eq!((put, record(&jobs, "a").await.owner), (Scheduled::Created, None));
    }

    #[tokio::test]
    async fn new_revision_of_the_same_schedule_keeps_its_next_slot() {
        let jobs = queue();
        start(&jobs, 7, &[("a", hourly())]).await;
        let skipped = jobs.schedules().skip_next("a").await.unwrap().unwrap();
        start(&jobs, 8, &[("a", hourly())]).await;
        let record = record(&jobs, "a").await;
        assert!(skipped < record.next[0], "{record:?}");
        assert_eq!(record.owner, Some(Deployment::new("shop", 8)));
    }

    #[tokio::test]
    async fn edit_of_an_operator_outlives_the_definitions_of_the_program() {
        let jobs = queue();
        start(&jobs, 7, &[("a", hourly())]).await;
        jobs.schedules().edit("a", daily()).await.unwrap();
        let edited = record(&jobs, "a").await;
        assert_eq!((&edited.schedule, edited.overridden), (&daily(), Some(hourly())));
        assert_eq!(edited.next, daily().slots_after(Timestamp::now(), 5).unwrap());
        start(&jobs, 8, &[("a", hourly().overlap(Overlap::Skip))]).await;
        let after = record(&jobs, "a").await;
        assert_eq!((&after.schedule, &after.next), (&daily(), &edited.next));
        jobs.schedules().reset("a").await.unwrap();
        let reset = record(&jobs, "a").await;
        assert_eq!((reset.schedule, reset.overridden), (hourly().overlap(Overlap::Skip), None));
        assert_eq!(reset.next, hourly().slots_after(Timestamp::now(), 5).unwrap());
        let error = jobs.schedules().edit("a", Schedule::cron("0 0 30 2 *")).await.unwrap_err();
        assert!(error.to_string().contains("never fires"), "{error}");
    }

    #[tokio::test]
    async fn removal_does_not_keep_an_edit() {
        let jobs = queue();
        start(&jobs, 7, &[("a", hourly())]).await;
        jobs.schedules().edit("a", daily()).await.unwrap();
        start(&jobs, 8, &[]).await;
        start(&jobs, 9, &[("a", hourly())]).await;
        assert_eq!(record(&jobs, "a").await.overridden, None);
    }

    #[tokio::test]
    async fn removed_schedules_do_not_shorten_a_page() {
        let jobs = queue();
        let all: Vec<String> = (0..600).map(|number| format!("a{number:03}")).collect();
        let old: Vec<(&str, Schedule)> = all.iter().map(|name| (name.as_str(), hourly())).collect();
        start(&jobs, 7, &old).await;
        assert_eq!(names(&jobs).await.len(), 100);
        start(&jobs, 8, &old[590..]).await;
        assert_eq!(names(&jobs).await, all[590..]);
        let first = jobs.schedules().list(None, 3).await.unwrap();
        assert_eq!(first.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), all[590..593]);
    }

    #[test]
    fn two_schedules_of_one_name_are_an_error() {
        let jobs = queue();
        let mut declared = program(&jobs, 7, &[("a", hourly())]);
        let error = declared.add(Declaration::new(&jobs, "a", daily(), job(1)).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("`a`"), "{error}");
    }
}
