//! Waits for the wake-ups of a backend, which may arrive after the reply to the write that caused
//! them.

use anyhow::Context as _;
use queue_core::backend::{WakeReceiver, Wakes};
use tokio::time::timeout;

use super::kit::Kit;
use super::kit::faults::BOUND;

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
            all.due_in = all.due_in.into_iter().chain(next.due_in).min();
            all.unknown |= next.unknown;
        }
    };
    let outcome = timeout(BOUND, collecting).await;
    outcome.with_context(|| format!("only these wake-ups arrived: {all:?}"))?;
    Ok(all)
}

/// Inserts a job, and returns all wake-ups that arrive before that of this job.
pub(crate) async fn announced_so_far(kit: &Kit, receiver: &mut WakeReceiver) -> anyhow::Result<Wakes> {
    kit.insert_one(kit.spec("job").queue(LAST)).await?;
    let mut all = announced(receiver, |all| all.ready.iter().any(|hint| hint.queue.as_str() == LAST)).await?;
    all.ready.retain(|hint| hint.queue.as_str() != LAST);
    Ok(all)
}
