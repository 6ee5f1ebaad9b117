//! Jobs that cannot be read, and jobs and workers of which a row cannot be written.

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

/// How long such a job is passed over before it is tried again.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// Few enough to be sent with every claim. What is refused beside these is met again, and not logged.
const MOST_REMEMBERED: usize = 1_000;

/// What was read of a row whose first column is a job, or `None` if it cannot be understood: one such job must not stand
/// in the way of all others. Its lease ends by itself, and so does the job with its last attempt.
pub(crate) fn pass_over<T>(row: &Row, read: Outcome<T>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(fault) => {
            let job = row::job_id(row, 0).ok().map(display);
            let error = fault.into_error("read a job", Effect::Reads);
            tracing::error!(job, %error, "a stored job cannot be read, or not all of it is there; it is passed over");
            None
        }
    }
}

/// A row that the database did not let be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refused {
    Job(JobId),
    Worker(WorkerId),
}

/// The rows that the database refused, each of which is logged once, and is left alone for a while.
///
/// Only a hint, which ends by itself: a row that was mended is left alone a minute longer.
#[derive(Debug, Default)]
pub(crate) struct RefusedRows(Mutex<HashMap<Refused, Instant>>);

impl RefusedRows {
    /// A row could not be written. It stays as it is, and the others do not wait for it.
    pub(crate) fn note(&self, row: Refused, fault: &str) {
        let mut known = self.lock();
        if known.len() >= MOST_REMEMBERED && !known.contains_key(&row) {
            known.retain(|_, since| since.elapsed() < LEFT_ALONE);
            if known.len() >= MOST_REMEMBERED {
                return;
            }
        }
        if known.insert(row, Instant::now()).is_none() {
            row.log(fault);
        }
    }

    /// Those that are passed over.
    pub(crate) fn left_alone(&self) -> Vec<Id> {
        let known = self.lock();
        known.iter().filter(|(_, since)| since.elapsed() < LEFT_ALONE).map(|(row, _)| row.id()).collect()
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
                tracing::error!(%job, fault, "the database does not accept a row of the job; the job is passed over");
            }
            Self::Worker(worker) => {
                tracing::error!(
                    %worker, fault,
                    "the database does not accept the row of a worker that is gone; the worker is passed over"
                );
            }
        }
    }
}
