//! Changes of schedules, with their jobs.

use super::store::Store;
use crate::Timestamp;
use crate::backend::{ScheduleChange, ScheduleChanged};

impl Store {
    /// Changes a schedule that has the expected version, and inserts the jobs.
    pub(super) fn change_schedule(&mut self, now: Timestamp, change: ScheduleChange) -> ScheduleChanged {
        let (name, schedules) = (change.name(), &mut self.schedules);
        if schedules.rows.get(name).map(|row| row.version) != change.expected() {
            return ScheduleChanged::Stale;
        }
        schedules.put(name, change.schedule().cloned());
        let submitted = change.jobs.into_iter().map(|job| {
            let submitted = self.insert_if_new(now, job);
            if submitted.is_new() {
                self.announce(submitted.id, now);
            }
            submitted
        });
        ScheduleChanged::Done(submitted.collect())
    }
}
