//! Taking ready jobs for a worker.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use queue_core::backend::{ClaimReply, ClaimRequest, ClaimedJob, LeasesRequest, WakeHints};
use queue_core::{ClaimId, JobId, JobSpec, Kind, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::damaged::Damaged;
use crate::error::{Outcome, corrupt};
use crate::lists::array;
use crate::manage::is_paused;
use crate::names::Names;
use crate::promote::{next_due, promote_queue, ready};
use crate::unwritable::{Sets, Unwritable, write_each};
use crate::worker::live_worker;
use crate::writer::command::Request;
use crate::writer::session::{Session, time};
use crate::{row, unwritable};

const PICK: &str = include_str!("sql/claim_pick.sql");
const READ: &str = include_str!("sql/claim_read.sql");
const TAKE: &str = include_str!("sql/claim_take.sql");
const LEASES: &str = include_str!("sql/leases.sql");

/// How many due jobs of the queue a claim makes ready first; the reply says if more are due.
const PROMOTED: u32 = 1000;

impl Request for ClaimRequest {
    type Reply = ClaimReply;

    const OPERATION: &'static str = "claim jobs";

    fn rows(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    fn can_look(&self, session: &Session) -> bool {
        !session.may_have_ready_jobs
    }

    fn look(&self, session: &mut Session) -> Outcome<Option<ClaimReply>> {
        let now = time(self.now);
        live_worker(&session.connection, self.worker, Self::OPERATION)?;
        let Some(queue) = session.names.find(&session.connection, self.queue.as_str())? else {
            return Ok(Some(ClaimReply::default()));
        };
        let due = next_due(&session.connection, &session.unwritable, queue, now)?;
        if due.is_some_and(|due| due.is_zero()) {
            return Ok(None);
        }
        if is_paused(&session.connection, queue)? {
            return Ok(Some(ClaimReply::new(Vec::new(), due)));
        }
        let streams = streams(session, self)?;
        let Session { connection, damaged, unwritable, .. } = session;
        let mut source = Source { connection, damaged, unwritable, queue, now };
        for mut stream in streams {
            if self.limit > 0 && stream.next(&mut source, 1)?.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(ClaimReply::new(Vec::new(), due)))
    }

    fn apply(&self, session: &mut Session, hints: &mut WakeHints) -> Outcome<ClaimReply> {
        let now = time(self.now);
        let worker = live_worker(&session.connection, self.worker, Self::OPERATION)?;
        let Some(queue) = session.names.find(&session.connection, self.queue.as_str())? else {
            return Ok(ClaimReply::default());
        };
        let mut due = next_due(&session.connection, &session.unwritable, queue, now)?;
        if due.is_some_and(|due| due.is_zero()) {
            let promoted = promote_queue(session, queue, now, PROMOTED)?;
            hints.extend(ready(&self.queue, &promoted));
            due = next_due(&session.connection, &session.unwritable, queue, now)?;
        }
        if is_paused(&session.connection, queue)? {
            return Ok(ClaimReply::new(Vec::new(), due));
        }
        let streams = streams(session, self)?;
        let Session { connection, damaged, unwritable, .. } = session;
        let mut source = Source { connection, damaged, unwritable, queue, now };
        let Taken { jobs, seqs, .. } = take(&mut source, streams, self)?;
        session.may_have_ready_jobs = jobs.len() == usize::try_from(self.limit).unwrap_or(usize::MAX);
        let picked: Vec<(i64, ClaimedJob)> = seqs.into_iter().zip(jobs).collect();
        let many = picked.len();
        let leased = lease_all(session, self, now, worker, picked)?;
        if leased.len() < many {
            // The limit may have kept others out, which a claim that brings little does not say.
            due = Some(Duration::ZERO);
        }
        session.row_cache.add(leased.iter().map(|(seq, job)| (job.token.job, *seq)));
        Ok(ClaimReply::new(leased.into_iter().map(|(_, job)| job).collect(), due))
    }
}

/// Gives jobs their leases, except to those whose rows cannot be written.
fn lease_all(
    session: &mut Session,
    request: &ClaimRequest,
    now: Timestamp,
    worker: i64,
    picked: Vec<(i64, ClaimedJob)>,
) -> Outcome<Vec<(i64, ClaimedJob)>> {
    if picked.is_empty() {
        return Ok(picked);
    }
    if session.unwritable.sets == Sets::Together {
        // Without a scope, which would copy each page: a statement that fails leaves nothing.
        match lease_together(session, request, now, worker, picked.iter().map(|(seq, _)| *seq)) {
            Ok(()) => return Ok(picked),
            Err(fault) if session.connection.is_autocommit() => {
                return Err(session.unwritable.undone_by_one_of_many(fault));
            }
            Err(fault) if fault.is_of_a_row() => {}
            Err(fault) => return Err(fault),
        }
    }
    let leased = write_each(
        session,
        now,
        &picked,
        |(seq, _)| unwritable::Row::Job(*seq),
        |session, (seq, job)| {
            lease_together(session, request, now, worker, [*seq].into_iter())?;
            Ok((*seq, job.clone()))
        },
    )?;
    Ok(leased)
}

fn lease_together(
    session: &Session,
    request: &ClaimRequest,
    now: Timestamp,
    worker: i64,
    seqs: impl ExactSizeIterator<Item = i64>,
) -> Outcome<()> {
    let many = seqs.len();
    let deadline = now.saturating_add(request.grace).as_micros();
    let latest = Timestamp::MAX.as_micros();
    let claim = request.claim.to_bytes();
    let mut statement = session.connection.prepare_cached(TAKE)?;
    let taken = statement.execute(params![array(seqs), claim, worker, deadline, latest])?;
    if taken == many { Ok(()) } else { Err(corrupt("a ready job has no row of its own")) }
}

/// What orders claims: the most urgent first, among equals the one that waits longest.
type Order = (Reverse<i16>, Timestamp, JobId);

struct Pick {
    order: Order,
    seq: i64,
    kind: Kind,
}

/// Where a claim takes from.
struct Source<'a> {
    connection: &'a Connection,
    damaged: &'a mut Damaged,
    unwritable: &'a Unwritable,
    queue: i64,
    now: Timestamp,
}

/// The ready jobs of one kind in order, read in pieces.
struct Stream {
    kind: Kind,
    number: i64,
    /// What was read and not yet taken, last first.
    buffer: Vec<(Order, i64)>,
    read: i64,
    is_exhausted: bool,
}

impl Stream {
    /// The next job, read together with up to `piece` of its followers.
    fn next(&mut self, source: &mut Source<'_>, piece: i64) -> Outcome<Option<(Order, i64)>> {
        while self.buffer.is_empty() && !self.is_exhausted {
            let mut statement = source.connection.prepare_cached(PICK)?;
            let now = source.now.as_micros();
            let mut rows = statement.query(params![source.queue, self.number, now, piece, self.read])?;
            let mut many = 0;
            while let Some(row) = rows.next()? {
                many += 1;
                let seq = row.get(3)?;
                if source.unwritable.is_left_alone(unwritable::Row::Job(seq), source.now) {
                    continue;
                }
                if let Some(order) = source.damaged.pass_over(seq, order(row))? {
                    self.buffer.push((order, seq));
                }
            }
            self.is_exhausted = many < piece;
            self.read += many;
            self.buffer.reverse();
        }
        Ok(self.buffer.pop())
    }
}

fn order(row: &Row<'_>) -> Outcome<Order> {
    Ok((Reverse(row.get(0)?), row::time(row, 1)?, row::job_id(row, 2)?))
}

fn streams(session: &mut Session, request: &ClaimRequest) -> Outcome<Vec<Stream>> {
    let mut streams: Vec<Stream> = Vec::with_capacity(request.kinds.len());
    for kind in request.kinds.iter() {
        if let Some(number) = session.names.find(&session.connection, kind.as_str())?
            && streams.iter().all(|stream| stream.number != number)
        {
            streams.push(Stream {
                kind: kind.clone(),
                number,
                buffer: Vec::new(),
                read: 0,
                is_exhausted: false,
            });
        }
    }
    Ok(streams)
}

/// The jobs of all streams together, in order. One stream a kind, because the index has the kind
/// before the order: jobs of kinds that nobody here handles are never walked over.
struct Merge {
    streams: Vec<Stream>,
    heads: BinaryHeap<Reverse<((Order, i64), usize)>>,
    piece: i64,
    /// The stream that gave the last job, and has no head since.
    headless: Option<usize>,
}

impl Merge {
    fn new(source: &mut Source<'_>, mut streams: Vec<Stream>, limit: usize) -> Outcome<Self> {
        let share = (limit / streams.len().max(1) + 1).clamp(8, 1000);
        let piece = i64::try_from(if streams.len() == 1 { limit } else { share }).unwrap_or(i64::MAX);
        let mut heads = BinaryHeap::with_capacity(streams.len());
        for (index, stream) in streams.iter_mut().enumerate() {
            if let Some(head) = stream.next(source, piece)? {
                heads.push(Reverse((head, index)));
            }
        }
        Ok(Self { streams, heads, piece, headless: None })
    }

    fn next(&mut self, source: &mut Source<'_>) -> Outcome<Option<Pick>> {
        if let Some(index) = self.headless.take()
            && let Some(stream) = self.streams.get_mut(index)
        {
            if stream.buffer.is_empty() && !stream.is_exhausted {
                self.piece = self.piece.saturating_mul(2).min(1000);
            }
            if let Some(head) = stream.next(source, self.piece)? {
                self.heads.push(Reverse((head, index)));
            }
        }
        let Some(Reverse(((order, seq), index))) = self.heads.pop() else {
            return Ok(None);
        };
        self.headless = Some(index);
        Ok(self.streams.get(index).map(|stream| Pick { order, seq, kind: stream.kind.clone() }))
    }
}

/// The jobs as they will be under their leases, and their rows.
struct Taken {
    jobs: Vec<ClaimedJob>,
    seqs: Vec<i64>,
    /// How many more jobs may be on their last attempt.
    last_attempts: u32,
}

/// The first `limit` jobs that can be read, up to the one too many on its last attempt.
fn take(source: &mut Source<'_>, streams: Vec<Stream>, request: &ClaimRequest) -> Outcome<Taken> {
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let mut taken = Taken { jobs: Vec::new(), seqs: Vec::new(), last_attempts: request.last_attempts };
    if limit == 0 {
        return Ok(taken);
    }
    let mut merge = Merge::new(source, streams, limit)?;
    loop {
        let room = limit - taken.jobs.len();
        let mut picks = Vec::with_capacity(room.min(1000));
        while picks.len() < room
            && let Some(pick) = merge.next(source)?
        {
            picks.push(pick);
        }
        // Again only for those that take the place of what could not be read.
        if picks.is_empty() || !read(source, request, picks, &mut taken)? {
            return Ok(taken);
        }
    }
}

/// Adds those that can be read; whether more may be added.
fn read(
    source: &mut Source<'_>,
    request: &ClaimRequest,
    picks: Vec<Pick>,
    taken: &mut Taken,
) -> Outcome<bool> {
    let mut statement = source.connection.prepare_cached(READ)?;
    let mut rows = statement.query([array(picks.iter().map(|pick| pick.seq))])?;
    for pick in picks {
        let row = rows.next()?.ok_or_else(|| corrupt("a list of rows came back short"))?;
        let seq = pick.seq;
        let Some(job) = source.damaged.pass_over(seq, job(row, request, pick))? else {
            continue;
        };
        if job.is_last_attempt() {
            if taken.last_attempts == 0 {
                return Ok(false);
            }
            taken.last_attempts -= 1;
        }
        taken.jobs.push(job);
        taken.seqs.push(seq);
    }
    Ok(true)
}

fn job(row: &Row<'_>, request: &ClaimRequest, pick: Pick) -> Outcome<ClaimedJob> {
    let (Reverse(priority), run_at, id) = pick.order;
    let job = JobSpec::new(id, pick.kind, row::payload(row, 6)?)
        .queue(request.queue.clone())
        .priority(priority)
        .max_retries(row.get(1)?)
        .timeout(row::duration(row, 2)?)
        .backoff(row::backoff(row, 3)?)
        .attributes(row::attributes(row, 7)?);
    Ok(ClaimedJob::new(request.claim, row.get::<_, u32>(0)?.saturating_add(1), run_at, job))
}

impl Request for LeasesRequest {
    type Reply = Vec<ClaimedJob>;

    const OPERATION: &'static str = "list the leases of a claim";

    fn rows(&self) -> usize {
        1
    }

    fn can_look(&self, _session: &Session) -> bool {
        true
    }

    // Within the writer, though it only reads: behind the claim whose reply was lost.
    fn look(&self, session: &mut Session) -> Outcome<Option<Self::Reply>> {
        let Session { connection, names, damaged, .. } = session;
        let mut statement = connection.prepare_cached(LEASES)?;
        let mut rows = statement.query(params![self.worker.to_bytes(), self.claim.to_bytes()])?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            let job = lease(row, connection, names, self.claim);
            jobs.extend(damaged.pass_over(row.get(13)?, job)?);
        }
        Ok(Some(jobs))
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<Self::Reply> {
        Ok(self.look(session)?.unwrap_or_default())
    }
}

fn lease(row: &Row<'_>, connection: &Connection, names: &mut Names, claim: ClaimId) -> Outcome<ClaimedJob> {
    let kind = names.kind(connection, row.get(1)?)?;
    let job = JobSpec::new(row::job_id(row, 0)?, kind, row::payload(row, 11)?)
        .queue(names.queue(connection, row.get(2)?)?)
        .priority(row.get(3)?)
        .max_retries(row.get(6)?)
        .timeout(row::duration(row, 7)?)
        .backoff(row::backoff(row, 8)?)
        .attributes(row::attributes(row, 12)?);
    Ok(ClaimedJob::new(claim, row.get(5)?, row::time(row, 4)?, job))
}
