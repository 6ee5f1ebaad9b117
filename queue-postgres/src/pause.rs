//! Stopping queues for a while.

use queue_core::{Error, ErrorKind, QueueName, Result};

use crate::core::Core;
use crate::error::{Effect, Fault, Outcome};
use crate::row;

/// In two steps, each a transaction: the first has later claims see it, the second waits for the earlier ones. If only
/// the second fails, the queue is paused all the same, so it is not to be said that nothing was done.
pub(crate) async fn pause(core: &Core, queue: &QueueName) -> Result<()> {
    const OPERATION: &str = "pause a queue";
    let ask = |statement| async move { core.connections.query(statement, &[&queue.as_str()]).await };
    ask(&core.statements.pause).await.map_err(|fault| fault.into_error(OPERATION, Effect::Writes))?;
    ask(&core.statements.await_claims).await.map(drop).map_err(|fault: Fault| {
        let cause = fault.into_error(OPERATION, Effect::Writes);
        let message =
            format!("it is paused, but claims that were under way may not have ended: {}", cause.message());
        Error::new(ErrorKind::UnknownOutcome, OPERATION, message).with_source(cause)
    })
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
