//! Taking leases back from dead workers, and those past their deadline.

use std::collections::BTreeMap;

use queue_core::backend::Hint;
use queue_core::{State, Timestamp};
use rusqlite::{Connection, params};

use crate::ending::{Ending, Failure, end, record};
use crate::error::Outcome;
use crate::names::Names;
use crate::promote::{Levels, hint};
use crate::row;
use crate::settle::{Next, move_on};

const NEEDED: &str = include_str!("sql/rescue_needed.sql");
const LOSE: &str = include_str!("sql/worker_lose.sql");
const OF_LOST: &str = include_str!("sql/rescue_of_lost.sql");
const OVERDUE: &str = include_str!("sql/rescue_overdue.sql");
const SETTLE: &str = include_str!("sql/worker_lost_done.sql");

const WORKER_LOST: &str = "the worker that ran the job was given up: it did not show in time that it lives";
const OVERDUE_ERROR: &str = "the lease passed its deadline";

/// What was taken back.
#[derive(Default)]
pub(crate) struct Rescued {
    pub(crate) workers_lost: u64,
    pub(crate) rescued: u64,
    pub(crate) died: u64,
    pub(crate) ready: Vec<Hint>,
}

/// Whether there is anything to take back.
pub(crate) fn is_needed(connection: &Connection, now: Timestamp) -> Outcome<bool> {
    Ok(connection.prepare_cached(NEEDED)?.query_row([now.as_micros()], |row| row.get(0))?)
}

/// Gives up the workers that are expired, for good, and then takes back up to `limit` leases.
pub(crate) fn rescue(
    connection: &Connection,
    names: &mut Names,
    now: Timestamp,
    limit: u32,
) -> Outcome<Rescued> {
    let lost = connection.prepare_cached(LOSE)?.execute([now.as_micros()])?;
    let mut done = Rescued { workers_lost: u64::try_from(lost).unwrap_or(u64::MAX), ..Rescued::default() };
    let of_lost = leases(connection, OF_LOST, now, limit)?;
    let room = limit.saturating_sub(u32::try_from(of_lost.len()).unwrap_or(u32::MAX));
    let overdue = leases(connection, OVERDUE, now, room)?;
    take_back(connection, names, now, &of_lost, WORKER_LOST, &mut done)?;
    take_back(connection, names, now, &overdue, OVERDUE_ERROR, &mut done)?;
    connection.prepare_cached(SETTLE)?.execute([])?;
    Ok(done)
}

struct Lease {
    seq: i64,
    queue: i64,
    priority: i16,
    run_at: Timestamp,
    attempt: u32,
    max_retries: u16,
}

fn leases(connection: &Connection, sql: &str, now: Timestamp, limit: u32) -> Outcome<Vec<Lease>> {
    let mut leases = Vec::new();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![now.as_micros(), limit])?;
    while let Some(row) = rows.next()? {
        leases.push(Lease {
            seq: row.get(0)?,
            queue: row.get(1)?,
            priority: row.get(2)?,
            run_at: row::time(row, 3)?,
            attempt: row.get(4)?,
            max_retries: row.get(5)?,
        });
    }
    Ok(leases)
}

fn take_back(
    connection: &Connection,
    names: &mut Names,
    now: Timestamp,
    leases: &[Lease],
    error: &str,
    done: &mut Rescued,
) -> Outcome<()> {
    let mut endings = Vec::new();
    let mut failures = Vec::with_capacity(leases.len());
    let mut ready: BTreeMap<i64, Levels> = BTreeMap::new();
    for &Lease { seq, queue, priority, run_at, attempt, max_retries } in leases {
        failures.push(Failure { seq, attempt, error });
        if attempt > u32::from(max_retries) {
            // No claim: the one that is lost did not end it, and must not be told that it did.
            let (claim, result) = (None, None);
            endings.push(Ending { seq, state: State::Dead, attempt, claim, error: Some(error), result });
        } else {
            move_on(connection, seq, &Next { state: State::Ready, run_at, attempt })?;
            let least = ready.entry(queue).or_default().entry(priority).or_insert(run_at);
            *least = run_at.min(*least);
            done.rescued += 1;
        }
    }
    for (queue, levels) in ready {
        hint(&mut done.ready, &names.queue(connection, queue)?, levels);
    }
    done.died += u64::try_from(endings.len()).unwrap_or(u64::MAX);
    record(connection, now, &failures)?;
    end(connection, now, &endings)
}
