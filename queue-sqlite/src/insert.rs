//! Entering jobs.

use std::collections::HashSet;
use std::sync::LazyLock;

use queue_core::backend::{ClaimReply, ClaimRequest, InsertReply, InsertRequest, WakeHints, compare_batch};
use queue_core::{
    Attributes, Backoff, Insertion, JobId, JobSpec, Result, Submitted, Timestamp, UniqueKey,
    saturating_micros,
};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::error::{Fault, Outcome, corrupt, named};
use crate::lists::Insert;
use crate::names::Names;
use crate::row;
use crate::unique_keys;
use crate::writer::command::Request;
use crate::writer::session::{Session, time};

/// Columns of a job without a unique key, and with one.
const COLUMNS: usize = 13;
const UNIQUE_COLUMNS: usize = 15;

static JOB_INSERT: LazyLock<Insert> =
    LazyLock::new(|| Insert::new(include_str!("sql/job_insert.sql"), COLUMNS));
static UNIQUE_JOB_INSERT: LazyLock<Insert> =
    LazyLock::new(|| Insert::new(include_str!("sql/job_insert_unique.sql"), UNIQUE_COLUMNS));
const LIVE_INSERT: &str = include_str!("sql/live_insert.sql");
const UNIQUE_LIVE_INSERT: &str = include_str!("sql/live_insert_unique.sql");
const JOB_KNOWN: &str = include_str!("sql/job_known.sql");
const JOB_SEQ: &str = include_str!("sql/job_seq.sql");

impl Request for InsertRequest {
    type Reply = InsertReply;

    const OPERATION: &'static str = "enqueue jobs";

    fn rows(&self) -> usize {
        let jobs: usize = self.batches.iter().map(Vec::len).sum();
        jobs.saturating_add(self.claim.as_ref().map_or(0, Request::rows))
    }

    fn apply(&self, session: &mut Session, hints: &mut WakeHints) -> Outcome<Self::Reply> {
        let now = time(self.now);
        let batches = insert_each(session, &self.batches, now)?;
        let claim = match &self.claim {
            Some(claim) => Some(make_claim(session, hints, &claim.clone().at(now))?),
            None => None,
        };
        let taken: HashSet<JobId> =
            claim.iter().flatten().flat_map(|reply| &reply.jobs).map(|job| job.token.job).collect();
        let left = inserted(&self.batches, &batches).filter(|job| !taken.contains(&job.id));
        hints.append(&WakeHints::of_inserted(left, now));
        Ok(InsertReply::new(batches).claim(claim))
    }
}

/// The jobs stay stored whatever becomes of the claim.
fn make_claim(
    session: &mut Session,
    hints: &mut WakeHints,
    claim: &ClaimRequest,
) -> Outcome<Result<ClaimReply>> {
    let reply = session.scoped(|session| claim.apply(session, hints))?;
    Ok(reply.map_err(|fault| session.error(fault, ClaimRequest::OPERATION)))
}

/// Each batch succeeds or fails by itself.
fn insert_each(
    session: &mut Session,
    batches: &[Vec<JobSpec>],
    now: Timestamp,
) -> Outcome<Vec<Result<Vec<Submitted>>>> {
    let rows = batches.iter().map(Vec::len).sum();
    let mut results = Vec::with_capacity(batches.len());
    for batch in batches {
        let result = insert_apart(session, batch, now, rows)?;
        results.push(result.map_err(|fault| session.error(fault, InsertRequest::OPERATION)));
    }
    Ok(results)
}

/// The jobs that are new.
fn inserted<'a>(
    batches: &'a [Vec<JobSpec>],
    results: &'a [Result<Vec<Submitted>>],
) -> impl Iterator<Item = &'a JobSpec> {
    let answered =
        batches.iter().zip(results).filter_map(|(batch, result)| Some((batch, result.as_ref().ok()?)));
    let jobs = answered.flat_map(|(batch, answers)| batch.iter().zip(answers));
    jobs.filter(|(_, answer)| answer.is_new()).map(|(job, _)| job)
}

fn insert_apart(
    session: &mut Session,
    batch: &[JobSpec],
    now: Timestamp,
    rows: usize,
) -> Outcome<Outcome<Vec<Submitted>>> {
    if rows > 1 || batch.iter().any(|job| job.unique.is_some()) {
        return session.scoped(|session| insert(&session.connection, &mut session.names, batch, now));
    }
    // A job that is the whole request needs no scope: it is refused before anything is written, and
    // what fails later undoes the request.
    match insert(&session.connection, &mut session.names, batch, now) {
        Err(Fault::Driver(error)) => Err(error.into()),
        result => Ok(result),
    }
}

/// Enters a batch in the transaction that is open on `connection`. After an error the caller undoes
/// what was written.
pub(crate) fn insert(
    connection: &Connection,
    names: &mut Names,
    batch: &[JobSpec],
    now: Timestamp,
) -> Outcome<Vec<Submitted>> {
    if batch.iter().any(|job| job.unique.is_some()) {
        return insert_with_keys(connection, names, batch, now);
    }
    let rows = numbered(connection, names, batch.iter())?;
    let inserted = store(connection, &rows, now, Keys::None)?;
    let insertion = if inserted == batch.len() {
        Insertion::New
    } else {
        let first_seq = first_seq(connection, inserted);
        check_known(connection, names, batch, if inserted == 0 { i64::MAX } else { first_seq })?;
        Insertion::Known
    };
    Ok(batch.iter().map(|job| Submitted::new(job.id, insertion)).collect())
}

/// Enters the jobs of a batch that are not known and whose unique keys are free.
fn insert_with_keys(
    connection: &Connection,
    names: &mut Names,
    batch: &[JobSpec],
    now: Timestamp,
) -> Outcome<Vec<Submitted>> {
    let known =
        |id| Ok::<_, Fault>(stored(connection, names, id)?.map(|stored| (stored.job, stored.created_at)));
    let insertions = compare_batch(batch.iter().map(JobSpec::in_whole_micros), known)?;
    insert_new(connection, names, batch, &insertions, now)
}

/// Enters the jobs whose ids are not stored yet and whose unique keys are free.
pub(crate) fn insert_if_new(
    connection: &Connection,
    names: &mut Names,
    jobs: &[JobSpec],
    now: Timestamp,
) -> Outcome<Vec<Submitted>> {
    let insertion = |job: &JobSpec| {
        let mut statement = connection.prepare_cached(JOB_SEQ)?;
        Ok(if statement.exists([job.id.to_bytes()])? { Insertion::Known } else { Insertion::New })
    };
    let insertions = jobs.iter().map(insertion).collect::<Outcome<Vec<_>>>()?;
    insert_new(connection, names, jobs, &insertions, now)
}

/// Enters the new jobs whose unique keys are free.
fn insert_new(
    connection: &Connection,
    names: &mut Names,
    batch: &[JobSpec],
    insertions: &[Insertion],
    now: Timestamp,
) -> Outcome<Vec<Submitted>> {
    let mut answers = Vec::with_capacity(batch.len());
    for (job, insertion) in batch.iter().zip(insertions) {
        let holder = match insertion {
            Insertion::New => hold_key(connection, names, job, now)?,
            _ => None,
        };
        answers.push(match holder {
            Some(holder) => Submitted::new(holder, Insertion::Duplicate),
            None => Submitted::new(job.id, *insertion),
        });
    }
    let new = batch.iter().zip(&answers).filter(|(_, answer)| answer.is_new()).map(|(job, _)| job);
    let rows = numbered(connection, names, new)?;
    if store(connection, &rows, now, Keys::Some)? != rows.len() {
        return Err(corrupt("a job that was not known is stored already"));
    }
    Ok(answers)
}

fn hold_key(
    connection: &Connection,
    names: &mut Names,
    job: &JobSpec,
    now: Timestamp,
) -> Outcome<Option<JobId>> {
    if job.unique.is_none() {
        return Ok(None);
    }
    let kind = names.intern(connection, job.kind.as_str())?;
    unique_keys::hold(connection, kind, job, now)
}

/// Stores these jobs, and makes them live if none was stored already. Returns the number of stored
/// jobs.
fn store(connection: &Connection, rows: &[Row<'_>], now: Timestamp, keys: Keys) -> Outcome<usize> {
    let (inserted, live_insert) = match keys {
        Keys::None => {
            let bind = |statement: &mut Statement<'_>, from, row: &Row<'_>| row.bind(statement, from, now);
            (JOB_INSERT.run(connection, rows, COLUMNS, bind)?, LIVE_INSERT)
        }
        Keys::Some => {
            let bind = |statement: &mut Statement<'_>, from, row: &Row<'_>| {
                row.bind(statement, from, now)?;
                row.bind_key(statement, from + COLUMNS)
            };
            (UNIQUE_JOB_INSERT.run(connection, rows, UNIQUE_COLUMNS, bind)?, UNIQUE_LIVE_INSERT)
        }
    };
    if inserted == rows.len() && inserted > 0 {
        connection.prepare_cached(live_insert)?.execute(params![
            first_seq(connection, inserted),
            now.as_micros(),
            Timestamp::MAX.as_micros()
        ])?;
    }
    Ok(inserted)
}

/// Whether jobs have unique keys. Most have none, and their statements write fewer columns.
#[derive(Clone, Copy)]
enum Keys {
    None,
    Some,
}

/// The row of the first of the jobs that were just inserted.
fn first_seq(connection: &Connection, inserted: usize) -> i64 {
    connection.last_insert_rowid() - i64::try_from(inserted).unwrap_or(i64::MAX) + 1
}

struct Row<'a> {
    job: &'a JobSpec,
    kind: i64,
    queue: i64,
}

impl Row<'_> {
    fn bind(
        &self,
        statement: &mut Statement<'_>,
        from: usize,
        now: Timestamp,
    ) -> Result<(), rusqlite::Error> {
        let job = self.job;
        let backoff = job.backoff.as_ref();
        statement.raw_bind_parameter(from, job.id.to_bytes())?;
        statement.raw_bind_parameter(from + 1, self.kind)?;
        statement.raw_bind_parameter(from + 2, self.queue)?;
        statement.raw_bind_parameter(from + 3, job.priority)?;
        statement.raw_bind_parameter(from + 4, job.run_at.unwrap_or(now).as_micros())?;
        statement.raw_bind_parameter(from + 5, job.max_retries)?;
        statement.raw_bind_parameter(from + 6, saturating_micros(job.timeout))?;
        statement.raw_bind_parameter(from + 7, backoff.map(|backoff| saturating_micros(backoff.base())))?;
        statement.raw_bind_parameter(from + 8, backoff.map(|backoff| saturating_micros(backoff.cap())))?;
        statement.raw_bind_parameter(from + 9, backoff.map(Backoff::jitter))?;
        statement.raw_bind_parameter(from + 10, now.as_micros())?;
        statement.raw_bind_parameter(from + 11, job.payload.as_str())?;
        statement.raw_bind_parameter(from + 12, job.attributes.as_ref().map(Attributes::as_str))
    }

    fn bind_key(&self, statement: &mut Statement<'_>, from: usize) -> Result<(), rusqlite::Error> {
        let unique = self.job.unique.as_ref();
        statement.raw_bind_parameter(from, unique.map(UniqueKey::as_str))?;
        statement.raw_bind_parameter(from + 1, unique.map(|key| saturating_micros(key.keep())))
    }
}

fn numbered<'a>(
    connection: &Connection,
    names: &mut Names,
    batch: impl Iterator<Item = &'a JobSpec>,
) -> Outcome<Vec<Row<'a>>> {
    let mut rows: Vec<Row<'a>> = Vec::with_capacity(batch.size_hint().0);
    for job in batch {
        // Most batches are of one kind.
        let (kind, queue) = match rows.last() {
            Some(last) if last.job.kind == job.kind && last.job.queue == job.queue => (last.kind, last.queue),
            _ => {
                (names.intern(connection, job.kind.as_str())?, names.intern(connection, job.queue.as_str())?)
            }
        };
        rows.push(Row { job, kind, queue });
    }
    Ok(rows)
}

/// Some ids are stored already. Those from `fresh_seq` on are of this batch.
fn check_known(connection: &Connection, names: &mut Names, batch: &[JobSpec], fresh_seq: i64) -> Outcome<()> {
    let known = |id| {
        let vanished = || corrupt(format!("the job {id} vanished"));
        let stored = stored(connection, names, id)?.ok_or_else(vanished)?;
        Ok::<_, Fault>((stored.seq < fresh_seq).then_some((stored.job, stored.created_at)))
    };
    compare_batch(batch.iter().map(JobSpec::in_whole_micros), known).map(drop)
}

struct StoredJob {
    seq: i64,
    created_at: Timestamp,
    job: JobSpec,
}

fn stored(connection: &Connection, names: &mut Names, id: JobId) -> Outcome<Option<StoredJob>> {
    let mut statement = connection.prepare_cached(JOB_KNOWN)?;
    let read = |row: &rusqlite::Row<'_>| {
        let numbers: (i64, i64) = (row.get(2)?, row.get(3)?);
        Ok((row.get(0)?, row::time(row, 1), numbers, row::job(row, id, 4)))
    };
    let Some((seq, created_at, (kind, queue), job)) =
        statement.query_row([id.to_bytes()], read).optional()?
    else {
        return Ok(None);
    };
    named(id, || {
        let job = job?.named(names.kind(connection, kind)?, names.queue(connection, queue)?);
        Ok(Some(StoredJob { seq, created_at: created_at?, job }))
    })
}
