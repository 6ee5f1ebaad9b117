//! The ends of jobs, for callers that wait for them.

use async_trait::async_trait;
use queue_core::backend::{JobEnd, WakeHints, Watch};
use queue_core::{JobId, Result};

use crate::backend::SqliteBackend;
use crate::error::{Outcome, corrupt};
use crate::state;
use crate::writer::command::Request;
use crate::writer::session::Session;

const READ: &str = include_str!("sql/watch_read.sql");

/// The writer serves it, because the list of watched jobs belongs to it. It changes no row.
struct WatchJobs(Vec<JobId>);

impl Request for WatchJobs {
    type Reply = Vec<Option<JobEnd>>;

    const OPERATION: &'static str = "read the ends of jobs";

    fn rows(&self) -> usize {
        1
    }

    fn can_look(&self, _session: &Session) -> bool {
        true
    }

    fn look(&self, session: &mut Session) -> Outcome<Option<Self::Reply>> {
        watch(session, &self.0).map(Some)
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<Self::Reply> {
        watch(session, &self.0)
    }
}

fn watch(session: &mut Session, jobs: &[JobId]) -> Outcome<Vec<Option<JobEnd>>> {
    let Session { connection, watched, .. } = session;
    let mut statement = connection.prepare_cached(READ)?;
    let mut ends = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut rows = statement.query([job.to_bytes()])?;
        let Some(row) = rows.next()? else {
            ends.push(Some(JobEnd::Gone));
            continue;
        };
        let seq = row.get(0)?;
        let Some(state) = row.get(1)? else {
            watched.add(seq, *job);
            ends.push(None);
            continue;
        };
        watched.remove(seq);
        let end = JobEnd::of(state::state(state)?, row.get(2)?, row.get(3)?);
        ends.push(Some(end.ok_or_else(|| corrupt(format!("the outcome of job {job} is not final")))?));
    }
    Ok(ends)
}

#[async_trait]
impl Watch for SqliteBackend {
    async fn watch(&self, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        self.write(WatchJobs(jobs.to_vec())).await
    }
}
