//! Finds the queues with jobs for a worker.

use queue_core::backend::{ReadyQueuesReply, ReadyQueuesRequest, WakeHints};
use rusqlite::Connection;

use crate::error::Outcome;
use crate::manage::is_paused;
use crate::promote::next_due;
use crate::writer::command::Request;
use crate::writer::session::{Session, time};

const IS_READY: &str = include_str!("sql/is_ready.sql");

impl Request for ReadyQueuesRequest {
    type Reply = ReadyQueuesReply;

    const OPERATION: &'static str = "look which queues have jobs";

    fn rows(&self) -> usize {
        1
    }

    fn can_look(&self, _session: &Session) -> bool {
        true
    }

    fn look(&self, session: &mut Session) -> Outcome<Option<ReadyQueuesReply>> {
        let now = time(self.now);
        let Session { connection, names, unwritable, .. } = session;
        let mut kinds = Vec::with_capacity(self.kinds.len());
        for kind in self.kinds.iter() {
            kinds.extend(names.find(connection, kind.as_str())?);
        }
        let mut reply = ReadyQueuesReply::default();
        for queue in &self.queues {
            // A queue without a number never had a job.
            let Some(number) = names.find(connection, queue.as_str())? else { continue };
            let due = next_due(connection, unwritable, number, now)?;
            if due.is_some_and(|due| due.is_zero()) || is_ready(connection, number, &kinds)? {
                reply.queues.push(queue.clone());
            } else {
                reply.next_due = reply.next_due.into_iter().chain(due).min();
            }
        }
        Ok(Some(reply))
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<ReadyQueuesReply> {
        Ok(self.look(session)?.unwrap_or_default())
    }
}

fn is_ready(connection: &Connection, queue: i64, kinds: &[i64]) -> Outcome<bool> {
    let mut statement = connection.prepare_cached(IS_READY)?;
    for kind in kinds {
        if statement.query_row([queue, *kind], |row| row.get(0))? {
            return Ok(!is_paused(connection, queue)?);
        }
    }
    Ok(false)
}
