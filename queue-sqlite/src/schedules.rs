//! Schedules: what is due, and changes with their jobs.

use std::iter;

use async_trait::async_trait;
use queue_core::backend::{
    ChangeSchedulesRequest, DueSchedulesReply, DueSchedulesRequest, ScheduleChange, ScheduleChanged,
    ScheduleStore, ScheduleVersion, ScheduleWrite, StoredSchedule, WakeHints,
};
use queue_core::{Result, ScheduleName, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::backend::SqliteBackend;
use crate::error::{Outcome, corrupt};
use crate::insert::insert_if_new;
use crate::row;
use crate::writer::command::Request;
use crate::writer::session::{Session, time};

const DUE: &str = include_str!("sql/schedules_due.sql");
const NEXT_DUE: &str = include_str!("sql/schedules_next_due.sql");
const READ: &str = include_str!("sql/schedule_read.sql");
const LIST: &str = include_str!("sql/schedules_list.sql");
const INSERT: &str = include_str!("sql/schedule_insert.sql");
const UPDATE: &str = include_str!("sql/schedule_update.sql");
const DELETE: &str = include_str!("sql/schedule_delete.sql");

#[async_trait]
impl ScheduleStore for SqliteBackend {
    async fn due(&self, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        self.read("find the schedules that are due", move |connection| {
            let now = time(request.now);
            let schedules = read(connection, DUE, params![now.as_micros(), request.limit])?;
            let next = connection
                .prepare_cached(NEXT_DUE)?
                .query_row([i64::try_from(schedules.len()).unwrap_or(i64::MAX)], |row| Ok(row::time(row, 0)))
                .optional()?
                .transpose()?;
            Ok(DueSchedulesReply::new(schedules, now, next.map(|due_at| now.until(due_at))))
        })
        .await
    }

    async fn change(&self, request: ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>> {
        self.write(request).await
    }

    async fn get(&self, names: &[ScheduleName]) -> Result<Vec<Option<StoredSchedule>>> {
        let names = names.to_vec();
        self.read("read schedules", move |connection| {
            let one = |name: &ScheduleName| Ok(read(connection, READ, [name.as_str()])?.pop());
            names.iter().map(one).collect()
        })
        .await
    }

    async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<StoredSchedule>> {
        // No name is empty.
        let after = after.map_or_else(String::new, ToString::to_string);
        self.read("list schedules", move |connection| read(connection, LIST, params![after, limit])).await
    }
}

impl Request for ChangeSchedulesRequest {
    type Reply = Vec<Result<ScheduleChanged>>;

    const OPERATION: &'static str = "change schedules";

    fn rows(&self) -> usize {
        self.changes.iter().map(|change| 1 + change.jobs.len()).sum()
    }

    fn apply(&self, session: &mut Session, hints: &mut WakeHints) -> Outcome<Self::Reply> {
        let now = time(self.now);
        let mut results = Vec::with_capacity(self.changes.len());
        for change in &self.changes {
            let result = session.scoped(|session| apply(session, change, now))?;
            if let Ok(ScheduleChanged::Done(submitted)) = &result {
                let new = iter::zip(&change.jobs, submitted).filter(|(_, submitted)| submitted.is_new());
                hints.append(&WakeHints::of_inserted(new.map(|(job, _)| job), now));
            }
            results.push(result.map_err(|fault| session.error(fault, Self::OPERATION)));
        }
        Ok(results)
    }
}

fn apply(session: &mut Session, change: &ScheduleChange, now: Timestamp) -> Outcome<ScheduleChanged> {
    let Session { connection, names, .. } = session;
    if store(connection, change)? == 0 {
        return Ok(ScheduleChanged::Stale);
    }
    Ok(ScheduleChanged::Done(insert_if_new(connection, names, &change.jobs, now)?))
}

/// Returns the number of schedules that were changed.
fn store(connection: &Connection, change: &ScheduleChange) -> Outcome<usize> {
    let (sql, schedule, expected) = match &change.write {
        ScheduleWrite::Create(schedule) => (INSERT, schedule, None),
        ScheduleWrite::Replace { expected, schedule } => (UPDATE, schedule, Some(expected.to_bytes())),
        ScheduleWrite::Delete { expected, name } => {
            let parameters = params![name.as_str(), expected.to_bytes()];
            return Ok(connection.prepare_cached(DELETE)?.execute(parameters)?);
        }
    };
    let StoredSchedule { name, version, due_at, definition, state, .. } = schedule;
    let due_at = due_at.map(Timestamp::as_micros);
    let parameters = params![name.as_str(), version.to_bytes(), due_at, definition, state, expected];
    Ok(connection.prepare_cached(sql)?.execute(parameters)?)
}

fn read(connection: &Connection, sql: &str, parameters: impl Params) -> Outcome<Vec<StoredSchedule>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut schedules = Vec::new();
    while let Some(row) = rows.next()? {
        schedules.push(schedule(row)?);
    }
    Ok(schedules)
}

fn schedule(row: &Row<'_>) -> Outcome<StoredSchedule> {
    let name: String = row.get(0)?;
    let name = ScheduleName::new(name).map_err(|error| corrupt(error.to_string()))?;
    let version = ScheduleVersion::from_bytes(row.get(1)?);
    Ok(StoredSchedule::new(name, version, row.get(3)?, row.get(4)?).due_at(row::time_if_any(row, 2)?))
}
