//! Settlements: how leases end.

use queue_core::backend::{Completion, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{Error, ErrorKind, JobState, Result, Timestamp, Token};

use crate::rows::{Live, Outcome, live, outcome};
use crate::tables::Tables;

/// Settles each lease on its own.
pub(crate) fn settle(tables: &mut Tables<'_>, request: &SettleRequest) -> Result<Vec<Result<Settled>>> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    let settlements = request.settlements.iter();
    settlements.map(|settlement| tables.try_part(|tables| settle_one(tables, now, settlement))).collect()
}

fn settle_one(tables: &mut Tables<'_>, now: Timestamp, settlement: &Settlement) -> Result<Settled> {
    let Settlement { token, verdict, .. } = settlement;
    // The fence: a token that is not the live one of its job changes nothing.
    let live = live(&*tables.live, token.job)?;
    match live.filter(|live| live.lease_of(*token).is_some()) {
        Some(live) => apply(tables, now, settlement, &live).map(|()| Settled::Done),
        None => repeated(tables, *token, verdict),
    }
}

/// Returns `Done` if this token already ended the job with this verdict, because a worker repeats a
/// settle whose reply was lost.
fn repeated(tables: &Tables<'_>, token: Token, verdict: &Verdict) -> Result<Settled> {
    let ended = outcome(&*tables.outcomes, token.job)?;
    let is_same = ended.is_some_and(|end| end.claim == Some(token.claim) && verdict.ended_as(end.state));
    Ok(if is_same { Settled::Done } else { Settled::LeaseLost })
}

fn apply(tables: &mut Tables<'_>, now: Timestamp, settlement: &Settlement, live: &Live) -> Result<()> {
    let &Settlement { token, ref verdict, ran_for, .. } = settlement;
    let end = |state| Outcome { claim: Some(token.claim), ..Outcome::of(live, state, now) };
    match verdict {
        Verdict::Complete(Completion { result, .. }) => {
            tables.finish(token.job, live, &Outcome { result: result.clone(), ..end(JobState::Completed) })
        }
        Verdict::Cancel { reason } => tables.finish(
            token.job,
            live,
            &Outcome { error: Some(reason.clone()), ..end(JobState::Cancelled) },
        ),
        Verdict::Retry { error, delay } if !live.has_used_all_attempts() => {
            tables.add_error(token.job, live, now, error, ran_for)?;
            requeue(tables, now, token, live, &live.freed(JobState::Retrying, now.saturating_add(*delay)))
        }
        Verdict::Retry { error, .. } | Verdict::Bury { error } => {
            tables.add_error(token.job, live, now, error, ran_for)?;
            tables.finish(token.job, live, &Outcome { error: Some(error.clone()), ..end(JobState::Dead) })
        }
        Verdict::Snooze { delay } => {
            let state = if delay.is_zero() { JobState::Ready } else { JobState::Scheduled };
            let new = refunded(live.freed(state, now.saturating_add(*delay)));
            requeue(tables, now, token, live, &new)
        }
        Verdict::Release => {
            let new = refunded(live.freed(JobState::Ready, live.run_at));
            requeue(tables, now, token, live, &new)
        }
        _ => {
            Err(Error::new(ErrorKind::Unsupported, "settle a job", "the verdict is newer than this backend"))
        }
    }
}

fn requeue(tables: &mut Tables<'_>, now: Timestamp, token: Token, old: &Live, new: &Live) -> Result<()> {
    tables.change_live(token.job, old, new)?;
    tables.hints.add(new.hint(now));
    Ok(())
}

/// Refunds the attempt.
fn refunded(live: Live) -> Live {
    Live { attempt: live.attempt.saturating_sub(1), ..live }
}
