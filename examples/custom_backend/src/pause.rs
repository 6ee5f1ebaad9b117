//! Stopping queues for a while.

use queue_core::{QueueName, Result};
use redb::ReadableTable as _;

use crate::error::{Doing as _, Stored as _};
use crate::tables::{Snapshot, Tables};

/// Once this is committed no claim takes a job of the queue: claims are in transactions before or after.
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

/// The paused queues, in the order of their names.
pub(crate) fn paused(snapshot: &Snapshot) -> Result<Vec<QueueName>> {
    let rows = snapshot.paused.iter().doing("look for paused queues")?;
    rows.map(|row| QueueName::new(row.doing("look for paused queues")?.0.value()).stored()).collect()
}
