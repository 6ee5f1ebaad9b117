//! Pauses of queues.

use queue_core::{QueueName, Result};
use redb::ReadableTable as _;

use crate::error::{Doing as _, Stored as _};
use crate::tables::{Snapshot, Tables};

/// Pauses a queue. After the commit no claim takes a job of it, because each claim is a transaction
/// before or after.
pub(crate) fn pause(tables: &mut Tables<'_>, queue: &QueueName) -> Result<()> {
    if is_paused(tables, queue)? { Ok(()) } else { tables.paused.put(queue.as_str(), ()) }
}

pub(crate) fn resume(tables: &mut Tables<'_>, queue: &QueueName) -> Result<()> {
    if is_paused(tables, queue)? {
        tables.paused.remove(queue.as_str())?;
        tables.hints.add_unknown();
    }
    Ok(())
}

pub(crate) fn is_paused(tables: &Tables<'_>, queue: &QueueName) -> Result<bool> {
    Ok(tables.paused.get(queue.as_str()).doing("look for paused queues")?.is_some())
}

/// Returns the paused queues in the order of their names.
pub(crate) fn paused(snapshot: &Snapshot) -> Result<Vec<QueueName>> {
    let rows = snapshot.paused.iter().doing("look for paused queues")?;
    rows.map(|row| QueueName::new(row.doing("look for paused queues")?.0.value()).stored()).collect()
}
