//! Where the rows of claimed jobs are.

use std::collections::HashMap;

use queue_core::JobId;
use rusqlite::{Connection, OptionalExtension};

use crate::error::Outcome;

const FIND: &str = include_str!("sql/job_seq.sql");

/// More than a process ever has under lease; a few megabytes.
const MOST: usize = 1 << 17;

/// The rows of jobs that were claimed here: a settle is a sixth faster when it need not look for
/// them. Only a hint, because other programs prune and restore: a settle and a progress report
/// check id and claim in the row, and a settle that finds another job there looks the row up by the
/// id.
#[derive(Default)]
pub(crate) struct Places(HashMap<JobId, i64>);

impl Places {
    /// Remembers the rows of claimed jobs.
    pub(crate) fn learn(&mut self, jobs: impl Iterator<Item = (JobId, i64)>) {
        if self.0.len() > MOST {
            // Leases that were lost are never settled, and would stay for good.
            self.0.clear();
        }
        self.0.extend(jobs);
    }

    /// Where the job's row was when it was claimed, else where it is; `None` if there is no such job.
    pub(crate) fn find(&self, connection: &Connection, job: JobId) -> Outcome<Option<i64>> {
        match self.0.get(&job) {
            Some(seq) => Ok(Some(*seq)),
            None => look_up(connection, job),
        }
    }

    /// The same for a job that is needed no more, which is forgotten.
    pub(crate) fn take(&mut self, connection: &Connection, job: JobId) -> Outcome<Option<i64>> {
        match self.0.remove(&job) {
            Some(seq) => Ok(Some(seq)),
            None => look_up(connection, job),
        }
    }
}

/// Where the job's row is.
pub(crate) fn look_up(connection: &Connection, job: JobId) -> Outcome<Option<i64>> {
    Ok(connection.prepare_cached(FIND)?.query_row([job.to_bytes()], |row| row.get(0)).optional()?)
}
