//! What a backend announces, waited for: it is told after the commit, which may be after the answer.

use anyhow::Context as _;
use queue_core::backend::{WakeReceiver, Wakes};
use tokio::time::timeout;

use super::kit::Kit;
use super::kit::faults::BOUND;

/// The queue of the job that is announced last.
const LAST: &str = "announced-last";

/// Takes what is announced until that is enough, or says that anything may have changed.
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
    outcome.with_context(|| format!("nothing but this was announced: {all:?}"))?;
    Ok(all)
}

/// Everything that is announced before a job that is entered now.
pub(crate) async fn announced_so_far(kit: &Kit, receiver: &mut WakeReceiver) -> anyhow::Result<Wakes> {
    kit.insert_one(kit.spec("job").queue(LAST)).await?;
    let mut all = announced(receiver, |all| all.ready.iter().any(|hint| hint.queue.as_str() == LAST)).await?;
    all.ready.retain(|hint| hint.queue.as_str() != LAST);
    Ok(all)
}
