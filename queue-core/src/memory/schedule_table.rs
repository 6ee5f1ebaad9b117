//! The table of schedules.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::backend::{DueSchedulesReply, DueSchedulesRequest, StoredSchedule};
use crate::{ScheduleName, Timestamp};

/// All schedules, and the index of those that will be due.
#[derive(Default)]
pub(super) struct ScheduleTable {
    pub(super) rows: BTreeMap<ScheduleName, StoredSchedule>,
    due: BTreeSet<(Timestamp, ScheduleName)>,
}

impl ScheduleTable {
    pub(super) fn due(&self, now: Timestamp, request: &DueSchedulesRequest) -> DueSchedulesReply {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let is_due = |(due_at, _): &&(Timestamp, ScheduleName)| *due_at <= now;
        let names = || self.due.iter().take_while(is_due).take(limit).map(|(_, name)| name);
        let schedules: Vec<StoredSchedule> =
            names().filter_map(|name| self.rows.get(name)).cloned().collect();
        let next = self.due.iter().nth(schedules.len());
        let next_due = next.map(|(due_at, _)| now.until(*due_at));
        DueSchedulesReply::new(schedules, now, next_due)
    }

    pub(super) fn get(&self, name: &ScheduleName) -> Option<StoredSchedule> {
        self.rows.get(name).cloned()
    }

    pub(super) fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Vec<StoredSchedule> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.rows
            .range::<ScheduleName, _>((from, Bound::Unbounded))
            .take(limit)
            .map(|(_, row)| row.clone())
            .collect()
    }

    pub(super) fn put(&mut self, name: &ScheduleName, to: Option<StoredSchedule>) {
        if let Some(old) = self.rows.remove(name)
            && let Some(due_at) = old.due_at
        {
            self.due.remove(&(due_at, old.name));
        }
        if let Some(new) = to {
            self.due.extend(new.due_at.map(|due_at| (due_at, new.name.clone())));
            self.rows.insert(new.name.clone(), new);
        }
    }
}
