//! Retries of finished jobs by hand.

use queue_core::backend::{Hint, RetryReply, RetryRequest, WakeHints};
use queue_core::{JobId, Timestamp};
use rusqlite::{OptionalExtension, params};

use crate::error::{Outcome, corrupt};
use crate::lists::array;
use crate::prune::OUTCOMES_DELETE;
use crate::writer::command::Request;
use crate::writer::session::{Session, time};
use crate::{state, unique_keys};

const READ: &str = include_str!("sql/retry_read.sql");
const MOVE: &str = include_str!("sql/retry_move.sql");

impl Request for RetryRequest {
    type Reply = Vec<RetryReply>;

    const OPERATION: &'static str = "retry jobs";

    fn rows(&self) -> usize {
        self.jobs.len()
    }

    fn apply(&self, session: &mut Session, hints: &mut WakeHints) -> Outcome<Vec<RetryReply>> {
        let now = time(self.now);
        let mut moved = Vec::new();
        let mut replies = Vec::with_capacity(self.jobs.len());
        for job in &self.jobs {
            replies.push(prepare(session, now, *job, &mut moved, hints)?);
        }
        let connection = &session.connection;
        let list = array(moved.iter().copied());
        let inserted = connection.prepare_cached(MOVE)?.execute(params![
            list,
            now.as_micros(),
            Timestamp::MAX.as_micros()
        ])?;
        let deleted = connection.prepare_cached(OUTCOMES_DELETE)?.execute([&list])?;
        if (inserted, deleted) == (moved.len(), moved.len()) {
            return Ok(replies);
        }
        Err(corrupt("a finished job has another row than its end"))
    }
}

/// Answers for one job. If it can be retried, adds its row to `moved`, and takes its key again.
fn prepare(
    session: &mut Session,
    now: Timestamp,
    job: JobId,
    moved: &mut Vec<i64>,
    hints: &mut WakeHints,
) -> Outcome<RetryReply> {
    let Session { connection, names, .. } = session;
    let read = |row: &rusqlite::Row<'_>| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    };
    let found = connection.prepare_cached(READ)?.query_row([job.to_bytes()], read).optional()?;
    let Some((seq, kind, key, queue, priority, state)) = found else { return Ok(RetryReply::NotFound) };
    let (key, state): (Option<String>, Option<i64>) = (key, state);
    let state =
        state::state(state.ok_or_else(|| corrupt(format!("the job {job} is neither live nor finished")))?)?;
    if !state.is_finished() {
        return Ok(RetryReply::Unfinished(state));
    }
    if let Some(key) = key
        && let Some(holder) = unique_keys::hold_again(connection, kind, &key, job, now)?
    {
        return Ok(RetryReply::KeyHeld(holder));
    }
    moved.push(seq);
    hints.add(Hint::new(names.queue(connection, queue)?, priority, now));
    Ok(RetryReply::Retried)
}
