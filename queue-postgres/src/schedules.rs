//! Schedules: what is due, and changes with their jobs.

use std::collections::HashMap;

use async_trait::async_trait;
use queue_core::backend::{
    ChangeSchedulesRequest, DueSchedulesReply, DueSchedulesRequest, ScheduleChange, ScheduleChanged,
    ScheduleStore, ScheduleVersion, StoredSchedule, WakeHints,
};
use queue_core::{Error, Insertion, JobId, JobSpec, Result, ScheduleName, Submitted, Timestamp};
use tokio_postgres::Row;

use crate::backend::PostgresBackend;
use crate::columns::{Columns, bytes};
use crate::connections::Parameter;
use crate::core::Core;
use crate::error::{Effect, Fault, Outcome, corrupt};
use crate::parts::Parts;
use crate::row;
use crate::types::{Id, Time};

const OPERATION: &str = "change schedules";

/// Maximum size of the texts in one commit, in bytes. The server refuses a list of a gigabyte.
const COMMIT_BYTES: usize = 64 << 20;

/// Maximum number of attempts for jobs whose ids are inserted at the same time.
const MAX_ATTEMPTS: u32 = 5;

#[async_trait]
impl ScheduleStore for PostgresBackend {
    async fn due(&self, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        const OPERATION: &str = "find the schedules that are due";
        self.run(|core| async move {
            due(&core, &request).await.map_err(|fault| fault.into_error(OPERATION, Effect::Reads))
        })
        .await
    }

    async fn change(&self, request: ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>> {
        self.run(|core| async move { change(&core, &request).await }).await
    }

    async fn get(&self, names: &[ScheduleName]) -> Result<Vec<Option<StoredSchedule>>> {
        let names = names.to_vec();
        self.run(|core| async move {
            get(&core, &names).await.map_err(|fault| fault.into_error("read schedules", Effect::Reads))
        })
        .await
    }

    async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<StoredSchedule>> {
        // No name is empty.
        let after = after.map_or_else(String::new, ToString::to_string);
        self.run(|core| async move {
            let rows = core.query(&core.statements.list_schedules, &[&after, &i64::from(limit)]).await;
            let schedules = rows.and_then(|rows| rows.iter().map(schedule).collect());
            schedules.map_err(|fault: Fault| fault.into_error("list schedules", Effect::Reads))
        })
        .await
    }
}

async fn due(core: &Core, request: &DueSchedulesRequest) -> Outcome<DueSchedulesReply> {
    let parameters: [Parameter<'_>; 2] = [&request.now.map(Time), &i64::from(request.limit)];
    let rows = core.query(&core.statements.due_schedules, &parameters).await?;
    let (last, due) = rows.split_last().ok_or_else(|| corrupt("no rows about the schedules"))?;
    let schedules = due.iter().map(schedule).collect::<Outcome<Vec<_>>>()?;
    let (now, next) = (row::time(last, 5)?, row::time_if_any(last, 6)?);
    Ok(DueSchedulesReply::new(schedules, now, next.map(|due_at| now.until(due_at))))
}

async fn get(core: &Core, names: &[ScheduleName]) -> Outcome<Vec<Option<StoredSchedule>>> {
    let texts: Vec<&str> = names.iter().map(ScheduleName::as_str).collect();
    let rows = core.query(&core.statements.read_schedules, &[&texts]).await?;
    let found = rows.iter().map(|row| schedule(row).map(|schedule| (schedule.name.clone(), schedule)));
    let found = found.collect::<Outcome<HashMap<_, _>>>()?;
    Ok(names.iter().map(|name| found.get(name).cloned()).collect())
}

fn schedule(row: &Row) -> Outcome<StoredSchedule> {
    let name = ScheduleName::new(row::get::<&str>(row, 0)?).map_err(|error| corrupt(error.to_string()))?;
    let version = ScheduleVersion::from_bytes(row::get::<Id>(row, 1)?.0);
    let (definition, state) = (row::get(row, 3)?, row::get(row, 4)?);
    Ok(StoredSchedule::new(name, version, definition, state).due_at(row::time_if_any(row, 2)?))
}

/// Makes the changes in one commit, unless one of them is refused or they exceed [`COMMIT_BYTES`].
async fn change(core: &Core, request: &ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>> {
    let changes = &request.changes;
    let mut results: Vec<Result<ScheduleChanged>> =
        changes.iter().map(|_| Ok(ScheduleChanged::Stale)).collect();
    let mut parts = Parts::of_sizes(changes.iter().map(size), COMMIT_BYTES);
    let mut is_any_changed = false;
    while let Some(part) = parts.next() {
        match change_together(core, request.now, &changes[part.clone()]).await {
            Ok(changed) => {
                is_any_changed = true;
                results[part].iter_mut().zip(changed).for_each(|(result, changed)| *result = Ok(changed));
            }
            Err(fault) if is_of_one_change(&fault) && part.len() > 1 => parts.halve(&part),
            // Another transaction creates the schedule.
            Err(fault) if fault.is_locked() => {}
            Err(fault) if is_of_one_change(&fault) => {
                results[part.start] = Err(fault.into_error(OPERATION, Effect::Writes));
            }
            // An error of the whole request would claim that nothing was changed.
            Err(fault) if is_any_changed => {
                let error = fault.into_error(OPERATION, Effect::Writes);
                let same = || Err(Error::new(error.kind(), OPERATION, error.message()));
                results[part.start..].iter_mut().for_each(|result| *result = same());
                break;
            }
            Err(fault) => return Err(fault.into_error(OPERATION, Effect::Writes)),
        }
    }
    Ok(results)
}

/// Whether one change is the cause, rather than the connection or the server.
fn is_of_one_change(fault: &Fault) -> bool {
    fault.is_row_fault() || fault.is_locked() || fault.is_known()
}

fn size(change: &ScheduleChange) -> usize {
    let texts = change.schedule().map_or(0, |schedule| schedule.definition.len() + schedule.state.len());
    texts + change.jobs.iter().map(bytes).sum::<usize>()
}

async fn change_together(
    core: &Core,
    now: Option<Timestamp>,
    changes: &[ScheduleChange],
) -> Outcome<Vec<ScheduleChanged>> {
    let schedules = || changes.iter().map(ScheduleChange::schedule);
    let names: Vec<&str> = changes.iter().map(|change| change.name().as_str()).collect();
    let expected: Vec<Option<Id>> = changes.iter().map(|change| change.expected().map(Id::from)).collect();
    let versions: Vec<Option<Id>> = schedules().map(|new| new.map(|new| new.version.into())).collect();
    let due_ats: Vec<Option<Time>> = schedules().map(|new| new?.due_at.map(Time)).collect();
    let definitions: Vec<Option<&str>> = schedules().map(|new| Some(new?.definition.as_str())).collect();
    let states: Vec<Option<&str>> = schedules().map(|new| Some(new?.state.as_str())).collect();
    let parents: Vec<i64> =
        (1..).zip(changes).flat_map(|(place, change)| change.jobs.iter().map(move |_| place)).collect();
    let columns = Columns::of(now, changes.iter().flat_map(|change| &change.jobs));
    let inserts = columns.parameters();
    let change: [Parameter<'_>; 7] =
        [&names, &expected, &versions, &due_ats, &definitions, &states, &parents];
    let lock_timeout: &[Parameter<'_>] = &[&core.unique_lock_timeout];
    let parameters = [&inserts[..1], &change, &inserts[1..], lock_timeout].concat();
    let mut attempts = 1;
    loop {
        match core.query(&core.statements.change_schedules, &parameters).await {
            // A job of the same id was inserted at the same time.
            Err(fault) if fault.is_known() && attempts < MAX_ATTEMPTS => attempts += 1,
            rows => return read(core, &rows?, changes),
        }
    }
}

/// Also announces the new jobs.
fn read(core: &Core, rows: &[Row], changes: &[ScheduleChange]) -> Outcome<Vec<ScheduleChanged>> {
    let (last, rows) = rows.split_last().ok_or_else(|| corrupt("a change returned no rows"))?;
    let now = row::time(last, 3)?;
    let mut is_done = vec![false; changes.len()];
    let mut holders: HashMap<JobId, JobId> = HashMap::new();
    for row in rows {
        match row::get::<Option<i64>>(row, 0)? {
            Some(place) => {
                let index = usize::try_from(place - 1).ok();
                let done = index.and_then(|index| is_done.get_mut(index));
                *done.ok_or_else(|| corrupt("a result for a change that was not sent"))? = true;
            }
            None => {
                holders.insert(row::job_id(row, 1)?, row::job_id(row, 2)?);
            }
        }
    }
    let done = || changes.iter().zip(&is_done).filter(|(_, is_done)| **is_done).map(|(change, _)| change);
    let new = done().flat_map(|change| &change.jobs).filter(|job| !holders.contains_key(&job.id));
    core.waker.wake(WakeHints::of_inserted(new, now));
    let submitted = |job: &JobSpec| match holders.get(&job.id) {
        None => Submitted::new(job.id, Insertion::New),
        Some(holder) if *holder == job.id => Submitted::new(job.id, Insertion::Known),
        Some(holder) => Submitted::new(*holder, Insertion::Duplicate),
    };
    let changed = |(change, is_done): (&ScheduleChange, &bool)| match is_done {
        true => ScheduleChanged::Done(change.jobs.iter().map(submitted).collect()),
        false => ScheduleChanged::Stale,
    };
    Ok(changes.iter().zip(&is_done).map(changed).collect())
}
