//! Pauses and resumes queues.

use queue_core::{Error, ErrorKind, QueueName, Result};

use crate::core::Core;
use crate::error::{Effect, Fault, Outcome};
use crate::row;

/// Pauses in two transactions: later claims see the first, and the second waits for earlier claims.
/// If only the second fails, the queue is paused nevertheless, so the outcome must not be reported
/// as failed.
pub(crate) async fn pause(core: &Core, queue: &QueueName) -> Result<()> {
    const OPERATION: &str = "pause a queue";
    let query = |statement| async move { core.query(statement, &[&queue.as_str()]).await };
    query(&core.statements.pause).await.map_err(|fault| fault.into_error(OPERATION, Effect::Writes))?;
    query(&core.statements.await_claims).await.map(drop).map_err(|fault: Fault| {
        let cause = fault.into_error(OPERATION, Effect::Writes);
        let message =
            format!("the queue is paused, but earlier claims may not have ended: {}", cause.message());
        Error::new(ErrorKind::UnknownOutcome, OPERATION, message).with_source(cause)
    })
}

/// Resumes a queue and wakes all workers, because any of its jobs may be claimed now.
pub(crate) async fn resume(core: &Core, queue: &QueueName) -> Result<()> {
    let resuming = async {
        let rows = core.query(&core.statements.resume, &[&queue.as_str()]).await?;
        row::get::<bool>(row::only(&rows)?, 0)
    };
    if resuming.await.map_err(|fault: Fault| fault.into_error("resume a queue", Effect::Writes))? {
        core.waker.unknown();
    }
    Ok(())
}

/// The paused queues in the order of their names.
pub(crate) async fn paused(core: &Core) -> Result<Vec<QueueName>> {
    let reading = async {
        let rows = core.query(&core.statements.paused, &[]).await?;
        rows.iter().map(|row| row::queue(row, 0)).collect::<Outcome<_>>()
    };
    reading.await.map_err(|fault: Fault| fault.into_error("list the paused queues", Effect::Reads))
}
