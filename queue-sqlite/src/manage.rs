//! Commands of operators: pauses and resumes queues, retries jobs.

use async_trait::async_trait;
use queue_core::backend::{Manage, RetryReply, RetryRequest, WakeHints};
use queue_core::{QueueName, Result};
use rusqlite::Connection;

use crate::backend::SqliteBackend;
use crate::error::{Outcome, corrupt};
use crate::writer::command::Request;
use crate::writer::session::Session;

const PAUSE: &str = include_str!("sql/pause.sql");
const RESUME: &str = include_str!("sql/resume.sql");
const IS_PAUSED: &str = include_str!("sql/is_paused.sql");
const PAUSED: &str = include_str!("sql/paused.sql");

pub(crate) fn is_paused(connection: &Connection, queue: i64) -> Outcome<bool> {
    Ok(connection.prepare_cached(IS_PAUSED)?.query_row([queue], |row| row.get(0))?)
}

/// The writer serves it in order with the claims: earlier claims are committed, later ones see the
/// pause.
struct PauseQueue(QueueName);

impl Request for PauseQueue {
    type Reply = ();

    const OPERATION: &'static str = "pause a queue";

    fn rows(&self) -> usize {
        1
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<()> {
        // A queue without jobs may not have a number yet.
        let queue = session.names.intern(&session.connection, self.0.as_str())?;
        session.connection.prepare_cached(PAUSE)?.execute([queue])?;
        Ok(())
    }
}

struct ResumeQueue(QueueName);

impl Request for ResumeQueue {
    type Reply = ();

    const OPERATION: &'static str = "resume a queue";

    fn rows(&self) -> usize {
        1
    }

    fn apply(&self, session: &mut Session, hints: &mut WakeHints) -> Outcome<()> {
        if let Some(queue) = session.names.find(&session.connection, self.0.as_str())?
            && session.connection.prepare_cached(RESUME)?.execute([queue])? > 0
        {
            hints.add_unknown();
        }
        Ok(())
    }
}

#[async_trait]
impl Manage for SqliteBackend {
    async fn retry(&self, request: RetryRequest) -> Result<Vec<RetryReply>> {
        self.write(request).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        self.write(PauseQueue(queue.clone())).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        self.write(ResumeQueue(queue.clone())).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        self.read("list the paused queues", |connection| {
            let mut statement = connection.prepare_cached(PAUSED)?;
            let mut rows = statement.query([])?;
            let mut queues = Vec::new();
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                queues.push(QueueName::new(name).map_err(|error| corrupt(error.to_string()))?);
            }
            Ok(queues)
        })
        .await
    }
}
