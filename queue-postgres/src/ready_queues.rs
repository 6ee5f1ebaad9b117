//! Finds the queues that have ready jobs for a worker.

use queue_core::backend::{ReadyQueuesReply, ReadyQueuesRequest};
use queue_core::{Kind, QueueName, Result};
use tokio_postgres::Row;

use crate::core::Core;
use crate::error::{Effect, Fault, Outcome, corrupt};
use crate::row;
use crate::types::Time;

/// Checks all queues in one statement.
pub(crate) async fn ready_queues(core: &Core, request: &ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
    let looking = async {
        let queues: Vec<&str> = request.queues.iter().map(QueueName::as_str).collect();
        let kinds: Vec<&str> = request.kinds.iter().map(Kind::as_str).collect();
        let statement = &core.statements.ready_queues;
        read(&core.query(statement, &[&request.now.map(Time), &queues, &kinds]).await?)
    };
    looking.await.map_err(|fault: Fault| fault.into_error("look which queues have jobs", Effect::Reads))
}

fn read(rows: &[Row]) -> Outcome<ReadyQueuesReply> {
    let Some((last, rows)) = rows.split_last() else {
        return Err(corrupt("a check of queues returned no rows"));
    };
    let now = row::time(last, 3)?;
    let mut reply = ReadyQueuesReply::default();
    for row in rows {
        let due = row::time_if_any(row, 2)?.map(|due_at| now.until(due_at));
        if row::get(row, 1)? || due.is_some_and(|due| due.is_zero()) {
            reply.queues.push(row::queue(row, 0)?);
        } else {
            reply.next_due = reply.next_due.into_iter().chain(due).min();
        }
    }
    Ok(reply)
}
