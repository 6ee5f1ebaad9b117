//! Ending leases.

use std::time::Duration;

use queue_core::backend::{Completion, Hint, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{Error, ErrorKind, QueueName, Result, Timestamp};
use tokio_postgres::Row;

use crate::core::Core;
use crate::error::{Effect, Fault, Outcome, corrupt};
use crate::parts::Parts;
use crate::row;
use crate::types::{Id, Interval, Time};

const OPERATION: &str = "settle jobs";

/// The most bytes of results and texts in one commit: the server takes no list of a gigabyte.
const COMMIT_BYTES: usize = 64 << 20;

/// Ends leases in one commit, unless one of them cannot be ended, or they are very large.
pub(crate) async fn settle(core: &Core, request: &SettleRequest) -> Result<Vec<Result<Settled>>> {
    // In the order of the ids, as all do who lock several rows.
    let mut order: Vec<usize> = (0..request.settlements.len()).collect();
    order.sort_by_key(|place| request.settlements[*place].token.job);
    let sorted: Vec<&Settlement> = order.iter().map(|place| &request.settlements[*place]).collect();
    let mut fates: Vec<Result<Settled>> = sorted.iter().map(|_| Ok(Settled::LeaseLost)).collect();
    let mut parts = Parts::of_sizes(sorted.iter().map(|settlement| bytes(&settlement.verdict)), COMMIT_BYTES);
    let mut is_any_settled = false;
    let mut failed: Option<Error> = None;
    while let Some(part) = parts.next() {
        if let Some(error) = &failed {
            fates[part].iter_mut().for_each(|fate| *fate = Err(same(error)));
            continue;
        }
        match settle_together(core, request.now, &sorted[part.clone()]).await {
            Ok(settled) => {
                is_any_settled = true;
                fates[part].iter_mut().zip(settled).for_each(|(fate, settled)| *fate = Ok(settled));
            }
            Err(fault) if part.len() > 1 && is_of_one(&fault) => parts.halve(&part),
            Err(fault) if is_of_one(&fault) => {
                fates[part.start] = Err(fault.into_error(OPERATION, Effect::Writes));
            }
            // An error of the whole request would say that nothing was settled.
            Err(fault) if is_any_settled => {
                let error = fault.into_error(OPERATION, Effect::Writes);
                fates[part].iter_mut().for_each(|fate| *fate = Err(same(&error)));
                failed = Some(error);
            }
            Err(fault) => return Err(fault.into_error(OPERATION, Effect::Writes)),
        }
    }
    let mut placed: Vec<(usize, Result<Settled>)> = order.into_iter().zip(fates).collect();
    placed.sort_by_key(|(place, _)| *place);
    Ok(placed.into_iter().map(|(_, fate)| fate).collect())
}

fn same(error: &Error) -> Error {
    Error::new(error.kind(), OPERATION, error.message())
}

/// Whether one settlement, and not the connection or the server, is the reason.
fn is_of_one(fault: &Fault) -> bool {
    fault.is_of_a_value() || matches!(fault, Fault::Refused(error) if error.kind() == ErrorKind::Unsupported)
}

async fn settle_together(
    core: &Core,
    now: Option<Timestamp>,
    settlements: &[&Settlement],
) -> Outcome<Vec<Settled>> {
    let words: Vec<Words<'_>> =
        settlements.iter().map(|settlement| words(&settlement.verdict)).collect::<Outcome<_>>()?;
    let jobs: Vec<Id> = settlements.iter().map(|settlement| settlement.token.job.into()).collect();
    let claims: Vec<Id> = settlements.iter().map(|settlement| settlement.token.claim.into()).collect();
    let results: Vec<Option<&[u8]>> = words.iter().map(|words| words.result).collect();
    // The usual case has nothing more to say.
    let all_complete = words.iter().all(|words| words.verdict == "complete");
    let otherwise = (!all_complete).then_some(&words);
    let verdicts: Option<Vec<&str>> =
        otherwise.map(|words| words.iter().map(|words| words.verdict).collect());
    let delays: Option<Vec<Option<Interval>>> =
        otherwise.map(|words| words.iter().map(|words| words.delay).collect());
    let texts: Option<Vec<Option<&str>>> =
        otherwise.map(|words| words.iter().map(|words| words.text).collect());
    let statement = &core.statements.settle;
    let rows = core
        .connections
        .query(statement, &[&now.map(Time), &jobs, &claims, &results, &verdicts, &delays, &texts])
        .await?;
    read(core, &rows, settlements)
}

fn bytes(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Complete(Completion { result, .. }) => result.as_ref().map_or(0, Vec::len),
        Verdict::Retry { error: text, .. }
        | Verdict::Bury { error: text }
        | Verdict::Cancel { reason: text } => text.len(),
        _ => 0,
    }
}

/// A verdict as the database knows it.
struct Words<'a> {
    verdict: &'static str,
    delay: Option<Interval>,
    text: Option<&'a str>,
    result: Option<&'a [u8]>,
}

fn words(verdict: &Verdict) -> Outcome<Words<'_>> {
    let plain = |verdict| Words { verdict, delay: None, text: None, result: None };
    Ok(match verdict {
        Verdict::Complete(Completion { result, .. }) => {
            Words { result: result.as_deref(), ..plain("complete") }
        }
        Verdict::Retry { error, delay } => {
            Words { text: Some(error), delay: Some(Interval(*delay)), ..plain("retry") }
        }
        Verdict::Bury { error } => Words { text: Some(error), ..plain("bury") },
        Verdict::Snooze { delay } => Words { delay: Some(Interval(*delay)), ..plain("snooze") },
        Verdict::Cancel { reason } => Words { text: Some(reason), ..plain("cancel") },
        Verdict::Release => plain("release"),
        _ => {
            let message = "this version does not know the verdict";
            return Err(Error::new(ErrorKind::Unsupported, OPERATION, message).into());
        }
    })
}

/// What is not mentioned is done.
fn read(core: &Core, rows: &[Row], settlements: &[&Settlement]) -> Outcome<Vec<Settled>> {
    let mut settled = vec![Settled::Done; settlements.len()];
    let mut hints = Vec::new();
    let mut lives_on = vec![false; settlements.len()];
    for row in rows {
        let place = row::count(row, 0)?.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        let place = place.filter(|place| *place < settlements.len());
        let place = place.ok_or_else(|| corrupt("a settlement is answered that was not sent"))?;
        if !row::get::<bool>(row, 1)? {
            lives_on[place] = true;
            hints.push(hint(row)?);
        } else if !lives_on[place] {
            let ended: Option<&str> = row::get(row, 2)?;
            let ended_so = match ended {
                Some(state) => settlements[place].verdict.ended_as(row::state_of(state)?),
                None => false,
            };
            settled[place] = if ended_so { Settled::Done } else { Settled::LeaseLost };
        }
    }
    core.waker.ready(hints);
    Ok(settled)
}

/// Of a job that lives on. The rows of those come first.
fn hint(row: &Row) -> Outcome<Hint> {
    let queue: QueueName = row::queue(row, 3)?;
    let (run_at, now) = (row::time(row, 5)?, row::time(row, 6)?);
    let due_in = if row::get::<&str>(row, 2)? == "ready" { Duration::ZERO } else { now.until(run_at) };
    Ok(Hint::new(queue, row::get(row, 4)?, run_at).due_in(due_in))
}
