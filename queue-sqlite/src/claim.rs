//! Taking ready jobs for a worker.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use queue_core::backend::{ClaimReply, ClaimRequest, ClaimedJob, LeasesRequest};
use queue_core::{JobId, Kind, Timestamp, Token};
use rusqlite::{Connection, params};

use crate::error::{Outcome, corrupt};
use crate::lists::array;
use crate::promote::{hint, next_due, promote_queue};
use crate::row;
use crate::worker::live_worker;
use crate::writer::command::{Effects, Request};
use crate::writer::session::{Session, time};

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

    fn look(&self, session: &mut Session) -> Outcome<Option<ClaimReply>> {
        if session.is_stirred {
            return Ok(None);
        }
        let now = time(self.now);
        live_worker(&session.connection, self.worker, Self::OPERATION)?;
        let Some(queue) = session.names.find(&session.connection, self.queue.as_str())? else {
            return Ok(Some(ClaimReply::default()));
        };
        let due = next_due(&session.connection, queue, now)?;
        if due.is_some_and(|due| due.is_zero()) {
            return Ok(None);
        }
        let streams = streams(session, self)?;
        let source = Source { connection: &session.connection, queue, now };
        for mut stream in streams {
            if self.limit > 0 && stream.next(&source, 1)?.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(ClaimReply::new(Vec::new(), None, due)))
    }

    fn apply(&self, session: &mut Session, effects: &mut Effects) -> Outcome<ClaimReply> {
        let now = time(self.now);
        let worker = live_worker(&session.connection, self.worker, Self::OPERATION)?;
        let Some(queue) = session.names.find(&session.connection, self.queue.as_str())? else {
            return Ok(ClaimReply::default());
        };
        let mut due = next_due(&session.connection, queue, now)?;
        if due.is_some_and(|due| due.is_zero()) {
            let (_, promoted) = promote_queue(&session.connection, queue, now, PROMOTED)?;
            hint(&mut effects.ready, &self.queue, promoted);
            due = next_due(&session.connection, queue, now)?;
        }
        let streams = streams(session, self)?;
        let picks = pick(&Source { connection: &session.connection, queue, now }, streams, self.limit)?;
        let (jobs, seqs) = read(&session.connection, self, picks)?;
        session.is_stirred = jobs.len() == usize::try_from(self.limit).unwrap_or(usize::MAX);
        if jobs.is_empty() {
            return Ok(ClaimReply::new(jobs, None, due));
        }
        let deadline = now.saturating_add(self.grace).as_micros();
        let taken = session.connection.prepare_cached(TAKE)?.execute(params![
            array(seqs.iter().copied()),
            self.claim.to_bytes(),
            worker,
            deadline,
            Timestamp::MAX.as_micros()
        ])?;
        if taken != seqs.len() {
            return Err(corrupt("a ready job has no row of its own"));
        }
        session.places.learn(jobs.iter().map(|job| job.token.job).zip(seqs));
        Ok(ClaimReply::new(jobs, None, due))
    }
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
    fn next(&mut self, source: &Source<'_>, piece: i64) -> Outcome<Option<(Order, i64)>> {
        if self.buffer.is_empty() && !self.is_exhausted {
            let mut statement = source.connection.prepare_cached(PICK)?;
            let now = source.now.as_micros();
            let mut rows = statement.query(params![source.queue, self.number, now, piece, self.read])?;
            while let Some(row) = rows.next()? {
                let order = (Reverse(row.get(0)?), row::time(row, 1)?, row::job_id(row, 2)?);
                self.buffer.push((order, row.get(3)?));
            }
            let many = i64::try_from(self.buffer.len()).unwrap_or(i64::MAX);
            self.is_exhausted = many < piece;
            self.read += many;
            self.buffer.reverse();
        }
        Ok(self.buffer.pop())
    }
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

/// The first `limit` jobs of all streams together. One stream a kind, because the index has the kind
/// before the order: jobs of kinds that nobody here handles are never walked over.
fn pick(source: &Source<'_>, mut streams: Vec<Stream>, limit: u32) -> Outcome<Vec<Pick>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let share = (limit / streams.len().max(1) + 1).clamp(8, 1000);
    let mut piece = i64::try_from(if streams.len() == 1 { limit } else { share }).unwrap_or(i64::MAX);
    let mut heads = BinaryHeap::with_capacity(streams.len());
    for (index, stream) in streams.iter_mut().enumerate() {
        if limit > 0
            && let Some(head) = stream.next(source, piece)?
        {
            heads.push(Reverse((head, index)));
        }
    }
    let mut picks = Vec::with_capacity(limit.min(1000));
    while picks.len() < limit
        && let Some(Reverse(((order, seq), index))) = heads.pop()
    {
        if let Some(stream) = streams.get_mut(index) {
            picks.push(Pick { order, seq, kind: stream.kind.clone() });
            if stream.buffer.is_empty() && !stream.is_exhausted {
                piece = piece.saturating_mul(2).min(1000);
            }
            if picks.len() < limit
                && let Some(head) = stream.next(source, piece)?
            {
                heads.push(Reverse((head, index)));
            }
        }
    }
    Ok(picks)
}

/// The jobs as they will be under their leases, up to the one too many on its last attempt, and
/// their rows.
fn read(
    connection: &Connection,
    request: &ClaimRequest,
    picks: Vec<Pick>,
) -> Outcome<(Vec<ClaimedJob>, Vec<i64>)> {
    let mut last_attempts = request.last_attempts;
    let mut jobs = Vec::with_capacity(picks.len());
    let mut seqs = Vec::with_capacity(picks.len());
    let mut statement = connection.prepare_cached(READ)?;
    let mut rows = statement.query([array(picks.iter().map(|pick| pick.seq))])?;
    for pick in picks {
        let row = rows.next()?.ok_or_else(|| corrupt("a ready job has no row of its own"))?;
        let (Reverse(priority), run_at, id) = pick.order;
        let job = ClaimedJob {
            token: Token { job: id, claim: request.claim },
            kind: pick.kind,
            queue: request.queue.clone(),
            priority,
            run_at,
            attempt: row.get::<_, u32>(0)?.saturating_add(1),
            max_retries: row.get(1)?,
            timeout: row::duration(row, 2)?,
            backoff: row::backoff(row, 3)?,
            payload: row::payload(row, 6)?,
        };
        if job.is_last_attempt() {
            if last_attempts == 0 {
                break;
            }
            last_attempts -= 1;
        }
        jobs.push(job);
        seqs.push(pick.seq);
    }
    Ok((jobs, seqs))
}

impl Request for LeasesRequest {
    type Reply = Vec<ClaimedJob>;

    const OPERATION: &'static str = "list the leases of a claim";

    fn rows(&self) -> usize {
        1
    }

    // Within the writer, though it only reads: behind the claim whose reply was lost.
    fn look(&self, session: &mut Session) -> Outcome<Option<Self::Reply>> {
        let Session { connection, names, .. } = session;
        let mut statement = connection.prepare_cached(LEASES)?;
        let mut rows = statement.query(params![self.worker.to_bytes(), self.claim.to_bytes()])?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            jobs.push(ClaimedJob {
                token: Token { job: row::job_id(row, 0)?, claim: self.claim },
                kind: names.kind(connection, row.get(1)?)?,
                queue: names.queue(connection, row.get(2)?)?,
                priority: row.get(3)?,
                run_at: row::time(row, 4)?,
                attempt: row.get(5)?,
                max_retries: row.get(6)?,
                timeout: row::duration(row, 7)?,
                backoff: row::backoff(row, 8)?,
                payload: row::payload(row, 11)?,
            });
        }
        Ok(Some(jobs))
    }

    fn apply(&self, session: &mut Session, _effects: &mut Effects) -> Outcome<Self::Reply> {
        Ok(self.look(session)?.unwrap_or_default())
    }
}
