//! Stopping queues for a while.

use queue_core::{QueueName, Result};

use crate::core::Core;
use crate::error::{Effect, Fault, Outcome};
use crate::row;

/// In two steps, each a transaction: the first has later claims see it, the second waits for the earlier ones.
pub(crate) async fn pause(core: &Core, queue: &QueueName) -> Result<()> {
    let pausing = async {
        core.connections.query(&core.statements.pause, &[&queue.as_str()]).await?;
        core.connections.query(&core.statements.await_claims, &[&queue.as_str()]).await
    };
    pausing.await.map(drop).map_err(|fault: Fault| fault.into_error("pause a queue", Effect::Writes))
}

/// Tells everybody, since any of its jobs may be claimed now.
pub(crate) async fn resume(core: &Core, queue: &QueueName) -> Result<()> {
    let resuming = async {
        let rows = core.connections.query(&core.statements.resume, &[&queue.as_str()]).await?;
        row::get::<bool>(row::only(&rows)?, 0)
    };
    if resuming.await.map_err(|fault: Fault| fault.into_error("resume a queue", Effect::Writes))? {
        core.waker.unknown();
    }
    Ok(())
}

/// The queues that are paused, in the order of their names.
pub(crate) async fn paused(core: &Core) -> Result<Vec<QueueName>> {
    let reading = async {
        let rows = core.connections.query(&core.statements.paused, &[]).await?;
        rows.iter().map(|row| row::queue(row, 0)).collect::<Outcome<_>>()
    };
    reading.await.map_err(|fault: Fault| fault.into_error("list the paused queues", Effect::Reads))
}
