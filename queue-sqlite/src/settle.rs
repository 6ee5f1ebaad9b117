//! Settles jobs.

use std::time::Duration;

use queue_core::backend::{Completion, Hint, SettleRequest, Settled, Settlement, Verdict, WakeHints};
use queue_core::{Error, ErrorKind, JobSpec, JobState, Result, Timestamp, Token};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Fault, Outcome, corrupt};
use crate::finish::{AttemptFailure, Finish, finish, record_failures};
use crate::insert::insert;
use crate::lists::array;
use crate::names::Names;
use crate::row_cache::{RowCache, look_up};
use crate::writer::command::Request;
use crate::writer::session::{Session, time};
use crate::{row, state};

const FENCES: &str = include_str!("sql/settle_fences.sql");
const MOVE: &str = include_str!("sql/live_move.sql");
const OUTCOME: &str = include_str!("sql/settle_outcome.sql");

impl Request for SettleRequest {
    type Reply = Vec<Result<Settled>>;

    const OPERATION: &'static str = "settle jobs";

    fn rows(&self) -> usize {
        let follow_ups = |settlement: &Settlement| match &settlement.verdict {
            Verdict::Complete(completion) => completion.follow_ups.len(),
            _ => 0,
        };
        self.settlements.iter().map(|settlement| 1 + follow_ups(settlement)).sum()
    }

    fn apply(&self, session: &mut Session, hints: &mut WakeHints) -> Outcome<Self::Reply> {
        let now = time(self.now);
        let together = session.scoped(|session| settle(session, now, &self.settlements))?;
        let Ok((settled, more)) = together else {
            return settle_each(session, hints, now, &self.settlements);
        };
        hints.append(&more);
        Ok(settled.into_iter().map(Ok).collect())
    }
}

/// Settles each job on its own after the batch failed, so that only the jobs that cannot be settled
/// fail.
fn settle_each(
    session: &mut Session,
    hints: &mut WakeHints,
    now: Timestamp,
    settlements: &[Settlement],
) -> Outcome<Vec<Result<Settled>>> {
    let mut results = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        let result = session.scoped(|session| settle(session, now, std::slice::from_ref(settlement)))?;
        results.push(match result {
            Ok((settled, more)) => {
                hints.append(&more);
                settled.first().copied().map_or_else(|| Ok(Settled::LeaseLost), Ok)
            }
            Err(fault) => match session.error(fault, SettleRequest::OPERATION) {
                // The whole request fails: no job can be settled until an operator has repaired the
                // tables.
                error if error.kind() == ErrorKind::Misconfigured => return Err(Fault::Refused(error)),
                error => Err(error),
            },
        });
    }
    Ok(results)
}

fn settle(
    session: &mut Session,
    now: Timestamp,
    settlements: &[Settlement],
) -> Outcome<(Vec<Settled>, WakeHints)> {
    let Session { connection, names, row_cache, watched, .. } = session;
    let leases = leases(connection, row_cache, settlements)?;
    let mut changes = Changes::default();
    let mut settled = Vec::with_capacity(settlements.len());
    for (settlement, lease) in settlements.iter().zip(leases) {
        settled.push(match lease {
            Some(lease) => {
                changes.add(connection, names, now, &lease, settlement)?;
                Settled::Done
            }
            None => repeated_settle(connection, settlement)?,
        });
    }
    record_failures(connection, now, &changes.failures)?;
    finish(connection, watched, now, &changes.finished, &mut changes.hints)?;
    // Afterwards, because a follow-up may take the key of its job.
    for batch in changes.follow_ups {
        let answers = insert(connection, names, batch, now)?;
        let new = batch.iter().zip(&answers).filter(|(_, answer)| answer.is_new()).map(|(job, _)| job);
        changes.hints.append(&WakeHints::of_inserted(new, now));
    }
    Ok((settled, changes.hints))
}

/// A lease that matches its token.
struct Lease {
    seq: i64,
    attempt: u32,
    max_retries: u16,
    queue: i64,
    priority: i16,
    run_at: Timestamp,
    has_ties: bool,
    worker: Option<i64>,
}

/// The lease of each token; `None` if it was lost. No other connection can change it before the
/// settle, because the transaction holds the lock.
fn leases(
    connection: &Connection,
    row_cache: &mut RowCache,
    settlements: &[Settlement],
) -> Outcome<Vec<Option<Lease>>> {
    let mut seqs = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        // No row has the number 0. It keeps the list aligned.
        seqs.push(row_cache.take(connection, settlement.token.job)?.unwrap_or_default());
    }
    let mut leases = held_leases(connection, &seqs, settlements)?;
    for ((lease, seq), settlement) in leases.iter_mut().zip(seqs).zip(settlements) {
        if lease.is_none()
            && let Some(actual) = look_up(connection, settlement.token.job)?
            && actual != seq
        {
            let afresh = held_leases(connection, &[actual], std::slice::from_ref(settlement))?;
            *lease = afresh.into_iter().next().flatten();
        }
    }
    Ok(leases)
}

fn held_leases(
    connection: &Connection,
    seqs: &[i64],
    settlements: &[Settlement],
) -> Outcome<Vec<Option<Lease>>> {
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
        has_ties: row::has_ties(row, 8)?,
        worker: row.get(9)?,
    }))
}

#[derive(Default)]
struct Changes<'a> {
    finished: Vec<Finish<'a>>,
    failures: Vec<AttemptFailure<'a>>,
    /// The follow-ups of each job that has some.
    follow_ups: Vec<&'a [JobSpec]>,
    hints: WakeHints,
}

impl<'a> Changes<'a> {
    fn add(
        &mut self,
        connection: &Connection,
        names: &mut Names,
        now: Timestamp,
        lease: &Lease,
        settlement: &'a Settlement,
    ) -> Outcome<()> {
        let &Lease { seq, attempt, has_ties, worker, .. } = lease;
        let claim = Some(settlement.token.claim.to_bytes());
        let finish = |state, error, result| Finish { seq, state, attempt, claim, error, result, has_ties };
        let failure = |error| AttemptFailure { seq, attempt, error, ran_for: settlement.ran_for, worker };
        match &settlement.verdict {
            Verdict::Complete(Completion { result, follow_ups, .. }) => {
                self.finished.push(finish(JobState::Completed, None, result.as_deref()));
                if !follow_ups.is_empty() {
                    self.follow_ups.push(follow_ups);
                }
            }
            Verdict::Bury { error } => {
                self.failures.push(failure(error));
                self.finished.push(finish(JobState::Dead, Some(error), None));
            }
            Verdict::Cancel { reason } => self.finished.push(finish(JobState::Cancelled, Some(reason), None)),
            Verdict::Retry { error, delay } => {
                self.failures.push(failure(error));
                if attempt > u32::from(lease.max_retries) {
                    self.finished.push(finish(JobState::Dead, Some(error), None));
                } else {
                    let next =
                        NextState { state: JobState::Retrying, run_at: now.saturating_add(*delay), attempt };
                    self.reschedule(connection, names, now, lease, &next)?;
                }
            }
            Verdict::Snooze { delay } => {
                let state = if delay.is_zero() { JobState::Ready } else { JobState::Scheduled };
                let next = NextState {
                    state,
                    run_at: now.saturating_add(*delay),
                    attempt: attempt.saturating_sub(1),
                };
                self.reschedule(connection, names, now, lease, &next)?;
            }
            Verdict::Release => {
                let next = NextState {
                    state: JobState::Ready,
                    run_at: lease.run_at,
                    attempt: attempt.saturating_sub(1),
                };
                self.reschedule(connection, names, now, lease, &next)?;
            }
            _ => {
                let message = "this version does not know the verdict";
                return Err(Error::new(ErrorKind::Unsupported, SettleRequest::OPERATION, message).into());
            }
        }
        Ok(())
    }

    fn reschedule(
        &mut self,
        connection: &Connection,
        names: &mut Names,
        now: Timestamp,
        lease: &Lease,
        next: &NextState,
    ) -> Outcome<()> {
        end_lease(connection, lease.seq, next)?;
        self.hints.add(
            Hint::new(names.queue(connection, lease.queue)?, lease.priority, next.run_at)
                .due_in(if next.state == JobState::Ready { Duration::ZERO } else { now.until(next.run_at) }),
        );
        Ok(())
    }
}

/// The next state of a job whose lease ended.
pub(crate) struct NextState {
    pub(crate) state: JobState,
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: u32,
}

/// Ends the lease of a job that stays unfinished.
pub(crate) fn end_lease(connection: &Connection, seq: i64, next: &NextState) -> Outcome<()> {
    let moved = connection.prepare_cached(MOVE)?.execute(params![
        seq,
        state::number(next.state),
        next.run_at.as_micros(),
        next.attempt
    ])?;
    if moved == 1 { Ok(()) } else { Err(corrupt("a job under lease is not live")) }
}

/// The answer to a token without a lease: `Done` if the token finished the job with the same
/// verdict.
fn repeated_settle(connection: &Connection, settlement: &Settlement) -> Outcome<Settled> {
    let Token { job, claim } = settlement.token;
    let mut statement = connection.prepare_cached(OUTCOME)?;
    let ended: Option<i64> =
        statement.query_row(params![job.to_bytes(), claim.to_bytes()], |row| row.get(0)).optional()?;
    match ended {
        Some(ended) if settlement.verdict.ended_as(state::state(ended)?) => Ok(Settled::Done),
        Some(_) | None => Ok(Settled::LeaseLost),
    }
}
