//! Cancels jobs.

use queue_core::backend::{CancelReply, CancelRequest, IfRunning, WakeHints};
use queue_core::{JobId, JobState, Timestamp};
use rusqlite::OptionalExtension;

use crate::error::{Outcome, corrupt};
use crate::finish::{Finish, finish};
use crate::writer::command::Request;
use crate::writer::session::{Session, time};
use crate::{row, state};

const READ: &str = include_str!("sql/cancel_read.sql");
const REQUEST: &str = include_str!("sql/cancel_request.sql");

impl Request for CancelRequest {
    type Reply = Vec<CancelReply>;

    const OPERATION: &'static str = "cancel jobs";

    fn rows(&self) -> usize {
        self.jobs.len()
    }

    fn apply(&self, session: &mut Session, hints: &mut WakeHints) -> Outcome<Vec<CancelReply>> {
        let now = time(self.now);
        self.jobs.iter().map(|job| cancel(session, now, *job, self.if_running, hints)).collect()
    }
}

fn cancel(
    session: &Session,
    now: Timestamp,
    job: JobId,
    if_running: IfRunning,
    hints: &mut WakeHints,
) -> Outcome<CancelReply> {
    let Session { connection, watched, .. } = session;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row::has_ties(row, 3)?));
    let found = connection.prepare_cached(READ)?.query_row([job.to_bytes()], read).optional()?;
    let Some((seq, state, attempt, has_ties)): Option<(i64, Option<i64>, Option<u32>, bool)> = found else {
        return Ok(CancelReply::NotFound);
    };
    let state =
        state::state(state.ok_or_else(|| corrupt(format!("the job {job} is neither live nor finished")))?)?;
    match state {
        JobState::Scheduled | JobState::Ready | JobState::Retrying => {
            let attempt = attempt.unwrap_or_default();
            let (state, claim, error, result) = (JobState::Cancelled, None, None, None);
            let finished = Finish { seq, state, attempt, claim, error, result, has_ties };
            finish(connection, watched, now, &[finished], hints)?;
            Ok(CancelReply::Cancelled)
        }
        JobState::Running => {
            if if_running == IfRunning::Signal {
                connection.prepare_cached(REQUEST)?.execute([seq])?;
                hints.add_cancel(job);
            }
            Ok(CancelReply::Running)
        }
        finished => Ok(CancelReply::Finished(finished)),
    }
}
