//! Registers workers, records heartbeats and retires workers.

use queue_core::backend::{
    Beat, HeartbeatReply, HeartbeatRequest, ProgressReport, RegisterRequest, RetireRequest, WakeHints,
};
use queue_core::{Error, ErrorKind, JobId, Progress, Timestamp, WorkerId, saturating_micros};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Outcome, corrupt};
use crate::promote::next_due_of_any;
use crate::unwritable::write_all_or_each;
use crate::writer::command::{Request, Urgency};
use crate::writer::session::{Session, time};
use crate::{row, unwritable};

const INSERT: &str = include_str!("sql/worker_insert.sql");
const READ: &str = include_str!("sql/worker_read.sql");
const HEARTBEAT: &str = include_str!("sql/worker_heartbeat.sql");
const CANCELS: &str = include_str!("sql/worker_cancels.sql");
const LEASES: &str = include_str!("sql/worker_leases.sql");
const RETIRE: &str = include_str!("sql/worker_retire.sql");
const PROGRESS: &str = include_str!("sql/progress.sql");

/// Returns the number of a live worker; fails with [`ErrorKind::WorkerLost`] for any other.
pub(crate) fn live_worker(
    connection: &Connection,
    worker: WorkerId,
    operation: &'static str,
) -> Outcome<i64> {
    Ok(Row::read(connection, worker, operation)?.number)
}

struct Row {
    number: i64,
    expires_at: i64,
    expiry: i64,
}

impl Row {
    fn read(connection: &Connection, worker: WorkerId, operation: &'static str) -> Outcome<Self> {
        Self::find(connection, worker)?.ok_or_else(|| {
            let message = format!("the worker {worker} is not registered, or is lost");
            Error::new(ErrorKind::WorkerLost, operation, message).into()
        })
    }

    fn find(connection: &Connection, worker: WorkerId) -> Outcome<Option<Self>> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Self { number: row.get(0)?, expires_at: row.get(1)?, expiry: row.get(2)? })
        };
        Ok(connection.prepare_cached(READ)?.query_row([worker.to_bytes()], read).optional()?)
    }
}

/// Whether a worker is alive and not expired.
pub(crate) fn is_in_time(connection: &Connection, worker: WorkerId, now: Timestamp) -> Outcome<bool> {
    Ok(Row::find(connection, worker)?.is_some_and(|row| row.expires_at > now.as_micros()))
}

impl Request for RegisterRequest {
    type Reply = ();

    const OPERATION: &'static str = "register a worker";

    fn rows(&self) -> usize {
        1
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<()> {
        let expires_at = time(self.now).saturating_add(self.expiry).as_micros();
        let inserted = session.connection.prepare_cached(INSERT)?.execute(params![
            self.worker.to_bytes(),
            self.name,
            saturating_micros(self.expiry),
            expires_at
        ])?;
        if inserted == 0 {
            let message = format!("the worker {} was registered before", self.worker);
            return Err(Error::new(ErrorKind::Conflict, Self::OPERATION, message).into());
        }
        Ok(())
    }
}

impl Request for HeartbeatRequest {
    type Reply = HeartbeatReply;

    const OPERATION: &'static str = "send a heartbeat";

    const URGENCY: Urgency = Urgency::Urgent;

    fn rows(&self) -> usize {
        1 + self.progress.len()
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<HeartbeatReply> {
        let now = time(self.now);
        let connection = &session.connection;
        let row = Row::read(connection, self.worker, Self::OPERATION)?;
        let beat = if now.as_micros() < row.expires_at { Beat::InTime } else { Beat::Late };
        let expires_at = now.as_micros().saturating_add(row.expiry).min(Timestamp::MAX.as_micros());
        connection.prepare_cached(HEARTBEAT)?.execute(params![row.number, expires_at])?;
        // One report that cannot be stored must not make the worker lose its other leases.
        let seq = |report: &ProgressReport| session.row_cache.find(connection, report.token.job);
        let mut reports = Vec::with_capacity(self.progress.len());
        for report in &self.progress {
            reports.extend(seq(report)?.map(|seq| (seq, report)));
        }
        write_all_or_each(session, now, &reports, |(seq, _)| unwritable::Row::Job(*seq), store_progress)?;
        let Session { connection, unwritable, .. } = session;
        let leases: i64 = connection.prepare_cached(LEASES)?.query_row([row.number], |row| row.get(0))?;
        Ok(HeartbeatReply::new(
            beat,
            cancels(connection, row.number)?,
            u64::try_from(leases).unwrap_or_default(),
            next_due_of_any(connection, unwritable, now)?,
        ))
    }
}

fn cancels(connection: &Connection, worker: i64) -> Outcome<Vec<JobId>> {
    row::job_ids(connection.prepare_cached(CANCELS)?.query([worker])?)
}

fn store_progress(session: &mut Session, reports: &[(i64, &ProgressReport)]) -> Outcome<()> {
    let mut statement = session.connection.prepare_cached(PROGRESS)?;
    for (seq, ProgressReport { token, progress, .. }) in reports {
        let (job, claim) = (token.job.to_bytes(), token.claim.to_bytes());
        statement.execute(params![seq, job, claim, progress_bytes(progress)])?;
    }
    Ok(())
}

fn progress_bytes(progress: &Progress) -> [u8; 16] {
    (u128::from(progress.done) << 64 | u128::from(progress.total)).to_be_bytes()
}

pub(crate) fn progress(row: &rusqlite::Row<'_>, column: usize) -> Outcome<Option<Progress>> {
    let Some(bytes) = row.get::<_, Option<[u8; 16]>>(column)? else {
        return Ok(None);
    };
    let both = u128::from_be_bytes(bytes);
    let half = |half: u128| -> Outcome<u64> {
        u64::try_from(half & u128::from(u64::MAX)).map_err(|_| corrupt("a progress"))
    };
    Ok(Some(Progress { done: half(both >> 64)?, total: half(both)? }))
}

impl Request for RetireRequest {
    type Reply = ();

    const OPERATION: &'static str = "retire a worker";

    fn rows(&self) -> usize {
        1
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<()> {
        session.connection.prepare_cached(RETIRE)?.execute([self.worker.to_bytes()])?;
        Ok(())
    }
}
