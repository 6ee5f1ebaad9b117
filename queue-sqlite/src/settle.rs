//! Ending leases.

use std::time::Duration;

use queue_core::backend::{Completion, Hint, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{Error, ErrorKind, Result, State, Timestamp, Token};
use rusqlite::{Connection, OptionalExtension, params};

use crate::ending::{Ending, Failure, end, record};
use crate::error::{Fault, Outcome, corrupt};
use crate::lists::array;
use crate::names::Names;
use crate::places::{Places, look_up};
use crate::writer::command::{Effects, Request};
use crate::writer::session::{Session, time};
use crate::{row, state};

const FENCES: &str = include_str!("sql/settle_fences.sql");
const MOVE: &str = include_str!("sql/live_move.sql");
const OUTCOME: &str = include_str!("sql/settle_outcome.sql");

impl Request for SettleRequest {
    type Reply = Vec<Result<Settled>>;

    const OPERATION: &'static str = "settle jobs";

    fn rows(&self) -> usize {
        self.settlements.len()
    }

    fn apply(&self, session: &mut Session, effects: &mut Effects) -> Outcome<Self::Reply> {
        let now = time(self.now);
        let together = session.scoped(|session| settle(session, now, &self.settlements))?;
        let Ok((settled, mut hints)) = together else {
            return one_by_one(session, effects, now, &self.settlements);
        };
        effects.ready.append(&mut hints);
        Ok(settled.into_iter().map(Ok).collect())
    }
}

/// After they failed together: each by itself, so that only the one that cannot be settled fails.
fn one_by_one(
    session: &mut Session,
    effects: &mut Effects,
    now: Timestamp,
    settlements: &[Settlement],
) -> Outcome<Vec<Result<Settled>>> {
    let mut fates = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        let fate = session.scoped(|session| settle(session, now, std::slice::from_ref(settlement)))?;
        fates.push(match fate {
            Ok((settled, mut hints)) => {
                effects.ready.append(&mut hints);
                settled.first().copied().map_or_else(|| Ok(Settled::LeaseLost), Ok)
            }
            Err(fault) => match session.error(fault, SettleRequest::OPERATION) {
                // Nothing can be settled until an operator has put it right: an outage, and no fault of the row.
                error if error.kind() == ErrorKind::Misconfigured => return Err(Fault::Refused(error)),
                error => Err(error),
            },
        });
    }
    Ok(fates)
}

fn settle(
    session: &mut Session,
    now: Timestamp,
    settlements: &[Settlement],
) -> Outcome<(Vec<Settled>, Vec<Hint>)> {
    let Session { connection, names, places, .. } = session;
    let leases = leases(connection, places, settlements)?;
    let mut work = Work::default();
    let mut settled = Vec::with_capacity(settlements.len());
    for (settlement, lease) in settlements.iter().zip(leases) {
        settled.push(match lease {
            Some(lease) => {
                work.add(connection, names, now, &lease, settlement)?;
                Settled::Done
            }
            None => repeated(connection, settlement)?,
        });
    }
    record(connection, now, &work.failures)?;
    end(connection, now, &work.endings)?;
    Ok((settled, work.hints))
}

/// A lease that the token opens.
struct Lease {
    seq: i64,
    attempt: u32,
    max_retries: u16,
    queue: i64,
    priority: i16,
    run_at: Timestamp,
}

/// The lease of each token; `None` where it was lost. Nobody can come between this look and the
/// change: the transaction holds the lock.
fn leases(
    connection: &Connection,
    places: &mut Places,
    settlements: &[Settlement],
) -> Outcome<Vec<Option<Lease>>> {
    let mut seqs = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        // No row has the number 0, which keeps the list aligned.
        seqs.push(places.take(connection, settlement.token.job)?.unwrap_or_default());
    }
    let mut leases = held(connection, &seqs, settlements)?;
    for ((lease, seq), settlement) in leases.iter_mut().zip(seqs).zip(settlements) {
        if lease.is_none()
            && let Some(actual) = look_up(connection, settlement.token.job)?
            && actual != seq
        {
            let afresh = held(connection, &[actual], std::slice::from_ref(settlement))?;
            *lease = afresh.into_iter().next().flatten();
        }
    }
    Ok(leases)
}

fn held(connection: &Connection, seqs: &[i64], settlements: &[Settlement]) -> Outcome<Vec<Option<Lease>>> {
    let mut leases = Vec::with_capacity(seqs.len());
    let mut statement = connection.prepare_cached(FENCES)?;
    let mut rows = statement.query([array(seqs.iter().copied())])?;
    for settlement in settlements {
        let row = rows.next()?.ok_or_else(|| corrupt("a list of rows came back short"))?;
        leases.push(lease(row, settlement.token)?);
    }
    Ok(leases)
}

fn lease(row: &rusqlite::Row<'_>, token: Token) -> Outcome<Option<Lease>> {
    let is = |column, wanted: [u8; 16]| -> Outcome<bool> {
        let stored = row.get_ref(column)?.as_blob_or_null();
        Ok(stored.map_err(|error| corrupt(format!("a token: {error}")))? == Some(&wanted[..]))
    };
    if !is(1, token.job.to_bytes())? || !is(2, token.claim.to_bytes())? {
        return Ok(None);
    }
    Ok(Some(Lease {
        seq: row.get(0)?,
        attempt: row.get(3)?,
        max_retries: row.get(4)?,
        queue: row.get(5)?,
        priority: row.get(6)?,
        run_at: row::time(row, 7)?,
    }))
}

#[derive(Default)]
struct Work<'a> {
    endings: Vec<Ending<'a>>,
    failures: Vec<Failure<'a>>,
    hints: Vec<Hint>,
}

impl<'a> Work<'a> {
    fn add(
        &mut self,
        connection: &Connection,
        names: &mut Names,
        now: Timestamp,
        lease: &Lease,
        settlement: &'a Settlement,
    ) -> Outcome<()> {
        let &Lease { seq, attempt, .. } = lease;
        let claim = Some(settlement.token.claim.to_bytes());
        let ending = |state, error, result| Ending { seq, state, attempt, claim, error, result };
        match &settlement.verdict {
            Verdict::Complete(Completion { result, .. }) => {
                self.endings.push(ending(State::Completed, None, result.as_deref()));
            }
            Verdict::Bury { error } => {
                self.failures.push(Failure { seq, attempt, error });
                self.endings.push(ending(State::Dead, Some(error), None));
            }
            Verdict::Cancel { reason } => self.endings.push(ending(State::Cancelled, Some(reason), None)),
            Verdict::Retry { error, delay } => {
                self.failures.push(Failure { seq, attempt, error });
                if attempt > u32::from(lease.max_retries) {
                    self.endings.push(ending(State::Dead, Some(error), None));
                } else {
                    let next = Next { state: State::Retrying, run_at: now.saturating_add(*delay), attempt };
                    self.live_on(connection, names, now, lease, &next)?;
                }
            }
            Verdict::Snooze { delay } => {
                let state = if delay.is_zero() { State::Ready } else { State::Scheduled };
                let next =
                    Next { state, run_at: now.saturating_add(*delay), attempt: attempt.saturating_sub(1) };
                self.live_on(connection, names, now, lease, &next)?;
            }
            Verdict::Release => {
                let next =
                    Next { state: State::Ready, run_at: lease.run_at, attempt: attempt.saturating_sub(1) };
                self.live_on(connection, names, now, lease, &next)?;
            }
            _ => {
                let message = "this version does not know the verdict";
                return Err(Error::new(ErrorKind::Unsupported, SettleRequest::OPERATION, message).into());
            }
        }
        Ok(())
    }

    fn live_on(
        &mut self,
        connection: &Connection,
        names: &mut Names,
        now: Timestamp,
        lease: &Lease,
        next: &Next,
    ) -> Outcome<()> {
        move_on(connection, lease.seq, next)?;
        self.hints.push(
            Hint::new(names.queue(connection, lease.queue)?, lease.priority, next.run_at)
                .due_in(if next.state == State::Ready { Duration::ZERO } else { now.until(next.run_at) }),
        );
        Ok(())
    }
}

/// Where a job goes on whose lease ended.
pub(crate) struct Next {
    pub(crate) state: State,
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: u32,
}

/// Takes the lease from a job that lives on.
pub(crate) fn move_on(connection: &Connection, seq: i64, next: &Next) -> Outcome<()> {
    let moved = connection.prepare_cached(MOVE)?.execute(params![
        seq,
        state::number(next.state),
        next.run_at.as_micros(),
        next.attempt
    ])?;
    if moved == 1 { Ok(()) } else { Err(corrupt("a job under lease is not live")) }
}

/// The answer to a token that opens no lease: `Done` if it ended the job before, by the same verdict.
fn repeated(connection: &Connection, settlement: &Settlement) -> Outcome<Settled> {
    let Token { job, claim } = settlement.token;
    let mut statement = connection.prepare_cached(OUTCOME)?;
    let ended: Option<i64> =
        statement.query_row(params![job.to_bytes(), claim.to_bytes()], |row| row.get(0)).optional()?;
    match ended {
        Some(ended) if settlement.verdict.ended_as(state::state(ended)?) => Ok(Settled::Done),
        Some(_) | None => Ok(Settled::LeaseLost),
    }
}
