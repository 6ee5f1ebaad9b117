//! Unreadable jobs, and jobs and workers with a row that cannot be written.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use queue_core::backend::ignore_poison;
use queue_core::{JobId, WorkerId};
use tokio_postgres::Row;
use tracing::field::display;

use crate::error::{Effect, Outcome};
use crate::row;
use crate::types::Id;

/// How long a refused row is skipped before it is tried again.
const SKIP_TIME: Duration = Duration::from_secs(60);

/// Few enough to be sent with each claim. Further refused rows are tried each time and not logged.
const MAX_REFUSED: usize = 1_000;

/// Returns the job that was read, or `None` if it is unreadable. An unreadable job must never block
/// other jobs. Its lease ends by itself, and the job ends with its last attempt.
pub(crate) fn skip_unreadable<T>(row: &Row, read: Outcome<T>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(fault) => {
            let job = row::job_id(row, 0).ok().map(display);
            let error = fault.into_error("read a job", Effect::Reads);
            tracing::error!(job, %error, "a stored job is unreadable or incomplete; skipping it");
            None
        }
    }
}

/// A row that the database refused to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refused {
    Job(JobId),
    Worker(WorkerId),
}

/// The rows that the database refused. Each is logged once and skipped for a minute.
///
/// Only a hint: a repaired row is skipped for at most a minute longer.
#[derive(Debug, Default)]
pub(crate) struct RefusedRows(Mutex<HashMap<Refused, Instant>>);

impl RefusedRows {
    /// Records a row that could not be written, so that later requests skip it.
    pub(crate) fn note(&self, row: Refused, fault: &str) {
        let mut known = self.lock();
        if known.len() >= MAX_REFUSED && !known.contains_key(&row) {
            known.retain(|_, since| since.elapsed() < SKIP_TIME);
            if known.len() >= MAX_REFUSED {
                return;
            }
        }
        if known.insert(row, Instant::now()).is_none() {
            row.log(fault);
        }
    }

    /// The rows to skip.
    pub(crate) fn skipped(&self) -> Vec<Id> {
        let known = self.lock();
        known.iter().filter(|(_, since)| since.elapsed() < SKIP_TIME).map(|(row, _)| row.id()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Refused, Instant>> {
        ignore_poison(self.0.lock())
    }
}

impl Refused {
    fn id(self) -> Id {
        match self {
            Self::Job(job) => job.into(),
            Self::Worker(worker) => worker.into(),
        }
    }

    fn log(self, fault: &str) {
        match self {
            Self::Job(job) => {
                tracing::error!(%job, fault, "a row of the job cannot be written; skipping the job and retrying in a minute");
            }
            Self::Worker(worker) => {
                tracing::error!(
                    %worker, fault,
                    "the row of a lost or retired worker cannot be written; skipping it and retrying in a minute"
                );
            }
        }
    }
}
