//! Creates, changes and reads schedules.

use anyhow::{Context as _, ensure};
use queue_core::ScheduleName;
use queue_core::backend::{
    Backend, ChangeSchedulesRequest, DueSchedulesReply, DueSchedulesRequest, ScheduleChange, ScheduleChanged,
    ScheduleStore, ScheduleVersion, StoredSchedule,
};

use super::Session;

/// The extension of a handle.
pub(crate) fn schedules(backend: &dyn Backend) -> anyhow::Result<&dyn ScheduleStore> {
    backend.extensions().schedules.context("the backend offers no `schedules`")
}

impl Session {
    /// A schedule with a new version, whose texts are as new.
    pub(crate) fn new_schedule(&self, name: &str) -> anyhow::Result<StoredSchedule> {
        let number = self.new_number();
        let version = ScheduleVersion::from_bytes(u128::from(number).to_be_bytes());
        let (definition, state) =
            (format!(r#"{{"definition":{number}}}"#), format!(r#"{{"state":{number}}}"#));
        Ok(StoredSchedule::new(ScheduleName::new(name)?, version, definition, state))
    }

    /// Creates a schedule that is due at the time of the case's clock.
    pub(crate) async fn create_due(&self, name: &str) -> anyhow::Result<StoredSchedule> {
        let schedule = self.new_schedule(name)?.due_at(self.now());
        ensure!(
            self.change(ScheduleChange::create(schedule.clone())).await? == ScheduleChanged::Done(Vec::new()),
            "the new schedule `{name}` was not created"
        );
        Ok(schedule)
    }

    /// Makes one change.
    pub(crate) async fn change(&self, change: ScheduleChange) -> anyhow::Result<ScheduleChanged> {
        self.change_all(vec![change]).await?.pop().context("the reply to one change is empty")
    }

    /// Makes several changes in one request. Fails if any of them fails.
    pub(crate) async fn change_all(
        &self,
        changes: Vec<ScheduleChange>,
    ) -> anyhow::Result<Vec<ScheduleChanged>> {
        let results = self.try_change_all(changes).await??;
        Ok(results.into_iter().collect::<queue_core::Result<_>>()?)
    }

    /// Makes several changes in one request. Returns an error of the backend.
    pub(crate) async fn try_change_all(
        &self,
        changes: Vec<ScheduleChange>,
    ) -> anyhow::Result<queue_core::Result<Vec<queue_core::Result<ScheduleChanged>>>> {
        let many = changes.len();
        let jobs = changes.iter().flat_map(|change| &change.jobs);
        self.shared.known().kinds.extend(jobs.map(|job| job.kind.clone()));
        let request = ChangeSchedulesRequest::new(changes).at(self.now());
        let results = schedules(&*self.backend()?)?.change(request).await;
        if let Ok(results) = &results {
            ensure!(results.len() == many, "the reply to {many} changes has {} entries", results.len());
        }
        Ok(results)
    }

    /// Returns the schedules that are due at the time of the case's clock.
    pub(crate) async fn due(&self, limit: u32) -> anyhow::Result<DueSchedulesReply> {
        Ok(schedules(&*self.backend()?)?.due(DueSchedulesRequest::new(limit).at(self.now())).await?)
    }

    /// Reads a schedule; `None` if it does not exist.
    pub(crate) async fn schedule(&self, name: &str) -> anyhow::Result<Option<StoredSchedule>> {
        let found = schedules(&*self.backend()?)?.get(&[ScheduleName::new(name)?]).await?;
        ensure!(found.len() == 1, "the reply to one name has {} entries", found.len());
        Ok(found.into_iter().next().flatten())
    }
}
