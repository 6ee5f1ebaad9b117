//! Settles jobs.

use std::slice;
use std::time::Duration;

use queue_core::backend::{Completion, Hint, SettleRequest, Settled, Settlement, Verdict, WakeHints};
use queue_core::{Error, ErrorKind, Insertion, QueueName, Result, Timestamp};
use tokio_postgres::Row;

use crate::connections::Parameter;
use crate::core::Core;
use crate::error::{Effect, Fault, Outcome, corrupt};
use crate::follow_ups::{self, FollowUps};
use crate::insert::insertions;
use crate::parts::Parts;
use crate::row;
use crate::types::{Id, Interval, Time};

const OPERATION: &str = "settle jobs";

/// Maximum size of results and texts in one commit, in bytes. The server refuses a list of a
/// gigabyte.
const COMMIT_BYTES: usize = 64 << 20;

/// Maximum number of attempts for follow-ups whose ids existed and then did not.
const MAX_ATTEMPTS: u32 = 5;

/// Ends leases in one commit, unless one of them is refused or they exceed [`COMMIT_BYTES`].
pub(crate) async fn settle(core: &Core, request: &SettleRequest) -> Result<Vec<Result<Settled>>> {
    // In the order of the ids, like each operation that locks several rows, because another order
    // could deadlock.
    let mut order: Vec<usize> = (0..request.settlements.len()).collect();
    order.sort_by_key(|index| request.settlements[*index].token.job);
    let sorted: Vec<&Settlement> = order.iter().map(|index| &request.settlements[*index]).collect();
    let mut results: Vec<Result<Settled>> = sorted.iter().map(|_| Ok(Settled::LeaseLost)).collect();
    let mut parts = Parts::of_sizes(sorted.iter().map(|settlement| bytes(settlement)), COMMIT_BYTES);
    let mut is_any_settled = false;
    let mut failed: Option<Error> = None;
    while let Some(part) = parts.next() {
        if let Some(error) = &failed {
            results[part].iter_mut().for_each(|result| *result = Err(same(error)));
            continue;
        }
        match settle_together(core, request.now, &sorted[part.clone()]).await {
            Ok(settled) => {
                is_any_settled = true;
                results[part].iter_mut().zip(settled).for_each(|(result, settled)| *result = Ok(settled));
            }
            Err(fault) if part.len() > 1 && is_settlement_fault(&fault, &sorted[part.clone()]) => {
                parts.halve(&part);
            }
            Err(fault) if is_settlement_fault(&fault, &sorted[part.clone()]) => {
                let settled = match fault.is_known() {
                    true => settle_known(core, request.now, sorted[part.start]).await,
                    false => Err(fault),
                };
                results[part.start] = settled.map_err(|fault| fault.into_error(OPERATION, Effect::Writes));
            }
            // An error of the whole request would claim that nothing was settled.
            Err(fault) if is_any_settled => {
                let error = fault.into_error(OPERATION, Effect::Writes);
                results[part].iter_mut().for_each(|result| *result = Err(same(&error)));
                failed = Some(error);
            }
            Err(fault) => return Err(fault.into_error(OPERATION, Effect::Writes)),
        }
    }
    let mut ordered: Vec<(usize, Result<Settled>)> = order.into_iter().zip(results).collect();
    ordered.sort_by_key(|(index, _)| *index);
    Ok(ordered.into_iter().map(|(_, result)| result).collect())
}

fn same(error: &Error) -> Error {
    Error::new(error.kind(), OPERATION, error.message())
}

/// Whether one settlement is the cause, rather than the connection or the server: it cannot be
/// stored, a follow-up is stored already, or a transaction of an application holds a lock.
fn is_settlement_fault(fault: &Fault, settlements: &[&Settlement]) -> bool {
    let has_follow_ups = || settlements.iter().any(|settlement| !follow_ups::of(settlement).is_empty());
    fault.is_row_fault()
        || fault.is_locked()
        || fault.is_known() && has_follow_ups()
        || matches!(fault, Fault::Refused(error) if error.is_final())
}

async fn settle_together(
    core: &Core,
    now: Option<Timestamp>,
    settlements: &[&Settlement],
) -> Outcome<Vec<Settled>> {
    let columns: Vec<VerdictColumns<'_>> =
        settlements.iter().map(|settlement| columns(&settlement.verdict)).collect::<Outcome<_>>()?;
    let jobs: Vec<Id> = settlements.iter().map(|settlement| settlement.token.job.into()).collect();
    let claims: Vec<Id> = settlements.iter().map(|settlement| settlement.token.claim.into()).collect();
    let results: Vec<Option<&[u8]>> = columns.iter().map(|column| column.result).collect();
    // If all are completed, the statement needs no verdicts, delays, texts and durations.
    let all_complete = columns.iter().all(|column| column.verdict == "complete");
    let otherwise = (!all_complete).then_some(&columns);
    let verdicts: Option<Vec<&str>> =
        otherwise.map(|columns| columns.iter().map(|column| column.verdict).collect());
    let delays: Option<Vec<Option<Interval>>> =
        otherwise.map(|columns| columns.iter().map(|column| column.delay).collect());
    let texts: Option<Vec<Option<&str>>> =
        otherwise.map(|columns| columns.iter().map(|column| column.text).collect());
    let durations: Option<Vec<Option<Interval>>> =
        otherwise.map(|_| settlements.iter().map(|settlement| settlement.ran_for.map(Interval)).collect());
    let now_time = now.map(Time);
    let parameters: [Parameter<'_>; 8] =
        [&now_time, &jobs, &claims, &results, &verdicts, &delays, &texts, &durations];
    let lock_timeout: &[Parameter<'_>] = &[&core.unique_lock_timeout];
    let rows = match FollowUps::of(now, settlements)? {
        None if all_complete => core.query(&core.statements.settle, &parameters).await?,
        None => {
            let parameters = [&parameters, lock_timeout].concat();
            core.query(&core.statements.settle_mixed, &parameters).await?
        }
        Some(FollowUps { parents, columns }) => {
            let inserts = columns.parameters();
            let parents: &[Parameter<'_>] = &[&parents];
            let parameters = [&parameters, parents, &inserts[1..], lock_timeout].concat();
            core.query(&core.statements.settle_and_insert, &parameters).await?
        }
    };
    read(core, &rows, settlements)
}

/// Completes a job of whose follow-ups at least one is stored already. The batch must be stored
/// whole and with the same content, as in an insert.
async fn settle_known(core: &Core, now: Option<Timestamp>, settlement: &Settlement) -> Outcome<Settled> {
    for _ in 0..MAX_ATTEMPTS {
        let batch = follow_ups::of(settlement);
        let insertions = insertions(core, batch).await?;
        let new = batch.iter().zip(insertions).filter(|(_, insertion)| *insertion == Insertion::New);
        let mut settlement = settlement.clone();
        if let Verdict::Complete(completion) = &mut settlement.verdict {
            completion.follow_ups = new.map(|(job, _)| job.clone()).collect();
        }
        match settle_together(core, now, slice::from_ref(&&settlement)).await {
            Ok(settled) => return Ok(settled.first().copied().unwrap_or(Settled::LeaseLost)),
            Err(fault) if fault.is_known() => {}
            Err(fault) => return Err(fault),
        }
    }
    let message = "jobs with the same ids are inserted and removed repeatedly";
    Err(Error::new(ErrorKind::Busy, OPERATION, message).into())
}

fn bytes(settlement: &Settlement) -> usize {
    match &settlement.verdict {
        Verdict::Complete(Completion { result, .. }) => {
            result.as_ref().map_or(0, Vec::len) + follow_ups::size(settlement)
        }
        Verdict::Retry { error: text, .. }
        | Verdict::Bury { error: text }
        | Verdict::Cancel { reason: text } => text.len(),
        _ => 0,
    }
}

/// A verdict in columns of the statement.
struct VerdictColumns<'a> {
    verdict: &'static str,
    delay: Option<Interval>,
    text: Option<&'a str>,
    result: Option<&'a [u8]>,
}

fn columns(verdict: &Verdict) -> Outcome<VerdictColumns<'_>> {
    let plain = |verdict| VerdictColumns { verdict, delay: None, text: None, result: None };
    Ok(match verdict {
        Verdict::Complete(Completion { result, .. }) => {
            VerdictColumns { result: result.as_deref(), ..plain("complete") }
        }
        Verdict::Retry { error, delay } => {
            VerdictColumns { text: Some(error), delay: Some(Interval(*delay)), ..plain("retry") }
        }
        Verdict::Bury { error } => VerdictColumns { text: Some(error), ..plain("bury") },
        Verdict::Snooze { delay } => VerdictColumns { delay: Some(Interval(*delay)), ..plain("snooze") },
        Verdict::Cancel { reason } => VerdictColumns { text: Some(reason), ..plain("cancel") },
        Verdict::Release => plain("release"),
        _ => {
            let message = "this version does not know the verdict";
            return Err(Error::new(ErrorKind::Unsupported, OPERATION, message).into());
        }
    })
}

/// Settlements without a row are done, and so are those with a row of an unfinished job or of
/// follow-ups. Also announces the changes.
fn read(core: &Core, rows: &[Row], settlements: &[&Settlement]) -> Outcome<Vec<Settled>> {
    let mut settled = vec![Settled::Done; settlements.len()];
    let mut hints = WakeHints::new();
    let mut is_unfinished = vec![false; settlements.len()];
    for row in rows {
        let index = row::count(row, 0)?.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let index = index.filter(|index| *index < settlements.len());
        let index = index.ok_or_else(|| corrupt("a result for a settlement that was not sent"))?;
        match row::get::<Option<bool>>(row, 1)? {
            None => hints.add_finished(settlements[index].token.job),
            Some(false) => {
                is_unfinished[index] = true;
                hints.add(hint(row)?);
            }
            Some(true) if is_unfinished[index] => {}
            Some(true) => settled[index] = repeated(row, settlements[index])?,
        }
    }
    core.waker.wake(hints);
    Ok(settled)
}

/// The result of a settlement whose token is not live.
fn repeated(row: &Row, settlement: &Settlement) -> Outcome<Settled> {
    let ended: Option<&str> = row::get(row, 2)?;
    let ended_so = match ended {
        Some(state) => settlement.verdict.ended_as(row::state_of(state)?),
        None => false,
    };
    Ok(if ended_so { Settled::Done } else { Settled::LeaseLost })
}

/// The hint of an unfinished job, or of the follow-ups of the job with this place.
fn hint(row: &Row) -> Outcome<Hint> {
    let queue: QueueName = row::queue(row, 3)?;
    let (run_at, now) = (row::time(row, 5)?, row::time(row, 6)?);
    let due_in = if row::get::<&str>(row, 2)? == "ready" { Duration::ZERO } else { now.until(run_at) };
    Ok(Hint::new(queue, row::get(row, 4)?, run_at).due_in(due_in))
}
