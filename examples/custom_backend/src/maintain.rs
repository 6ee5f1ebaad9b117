//! Bounded upkeep: promote, rescue, prune.

use queue_core::backend::{MaintainReply, MaintainRequest};
use queue_core::{Result, Timestamp};

use crate::promote::{next_due_anywhere, promote, waiting_queues};
use crate::prune::prune;
use crate::rescue::rescue;
use crate::tables::Tables;

/// Promotes, rescues and prunes, each up to its limit.
pub(crate) fn maintain(tables: &mut Tables<'_>, request: &MaintainRequest) -> Result<MaintainReply> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    let mut reply = MaintainReply::default();
    let mut left = request.promote as usize;
    for queue in waiting_queues(tables)? {
        let promoted = promote(tables, &queue, now, left)?;
        left -= promoted;
        reply.promoted += promoted as u64;
    }
    if request.rescue > 0 {
        rescue(tables, request, now, &mut reply)?;
    }
    if let Some(asked) = &request.prune {
        reply.pruned = prune(tables, now, asked)?;
    }
    reply.ready = tables.hints.ready();
    reply.next_due = next_due_anywhere(tables, now)?;
    Ok(reply)
}
