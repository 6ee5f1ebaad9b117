//! Waits for the wake-ups of a backend, which may arrive after the reply to the write that caused
//! them.

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Context as _;
use queue_core::backend::{Hint, WakeReceiver, Wakes};
use tokio::time::timeout;

use super::case::CaseResult;
use super::kit::Kit;
use super::session::Session;
use super::wait::{bound, in_time};

/// The queue of the job whose wake-up arrives last.
const LAST: &str = "announced-last";

/// Collects wake-ups until they are enough, or say that anything may have changed.
pub(crate) async fn announced(
    receiver: &mut WakeReceiver,
    is_enough: impl Fn(&Wakes) -> bool,
) -> anyhow::Result<Wakes> {
    let mut all = Wakes::default();
    let collecting = async {
        while !all.unknown && !is_enough(&all) {
            let next = receiver.recv().await;
            all.ready.extend(next.ready);
            all.cancels.extend(next.cancels);
            all.finished.extend(next.finished);
            all.more_finished |= next.more_finished;
            all.due_in = all.due_in.into_iter().chain(next.due_in).min();
            all.unknown |= next.unknown;
        }
    };
    let outcome = timeout(bound(), collecting).await;
    outcome.with_context(|| format!("waited {:?} for a wake-up; only these arrived: {all:?}", bound()))?;
    Ok(all)
}

/// Collects wake-ups as [`announced`] does. The receiver waits for the first of them before the act
/// begins, so that it must be woken: it is not enough that the wake-up is there when it looks.
pub(crate) async fn announced_to_one_that_waits(
    receiver: &mut WakeReceiver,
    act: impl Future<Output = CaseResult>,
    is_enough: impl Fn(&Wakes) -> bool,
) -> anyhow::Result<Wakes> {
    let mut waiting = pin!(announced(receiver, is_enough));
    let early = tokio::select! {
        biased;
        wakes = &mut waiting => Some(wakes),
        () = ready(()) => None,
    };
    act.await?;
    match early {
        Some(wakes) => wakes,
        None => waiting.await,
    }
}

/// Waits for the next wake-up, after `what`.
pub(crate) async fn next(receiver: &mut WakeReceiver, what: &str) -> anyhow::Result<Wakes> {
    in_time(&format!("a wake-up after {what}"), receiver.recv()).await
}

/// Looks after each wake-up until something is found. A wake-up may come for no reason, e.g. when a
/// backend begins to listen.
pub(crate) async fn found<T, F>(
    receiver: &mut WakeReceiver,
    what: &str,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    loop {
        next(receiver, what).await?;
        if let Some(found) = look().await? {
            return Ok(found);
        }
    }
}

/// Inserts a job on each of these handles, and returns all wake-ups that arrive before those of
/// these jobs. The receiver may be of another handle. The wake-ups of an earlier round of the case
/// may arrive as well, so each round has jobs of its own.
pub(crate) async fn announced_by(
    handles: &[Arc<Session>],
    round: i16,
    receiver: &mut WakeReceiver,
) -> anyhow::Result<Wakes> {
    let mut priorities = Vec::new();
    for (priority, handle) in (round * 10..).zip(handles) {
        handle.insert_one(handle.spec("job").queue(LAST).priority(priority)).await?;
        priorities.push(priority);
    }
    let is_last = |hint: &Hint, priority| hint.queue.as_str() == LAST && hint.priority == priority;
    let has = |all: &Wakes, priority| all.ready.iter().any(|hint| is_last(hint, priority));
    announced(receiver, |all| priorities.iter().all(|priority| has(all, *priority))).await
}

/// Inserts a job, and returns all wake-ups that arrive before that of this job.
pub(crate) async fn announced_so_far(kit: &Kit, receiver: &mut WakeReceiver) -> anyhow::Result<Wakes> {
    kit.insert_one(kit.spec("job").queue(LAST)).await?;
    let mut all = announced(receiver, |all| all.ready.iter().any(|hint| hint.queue.as_str() == LAST)).await?;
    all.ready.retain(|hint| hint.queue.as_str() != LAST);
    Ok(all)
}
