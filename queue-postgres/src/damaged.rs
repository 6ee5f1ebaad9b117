//! Jobs that cannot be read, or of which a row cannot be written.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use queue_core::JobId;
use tokio_postgres::Row;
use tracing::field::display;

use crate::error::{Effect, Outcome};
use crate::row;

/// More than are ever refused at the same time.
const MOST_REMEMBERED: usize = 10_000;

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

/// The jobs of which the database did not accept a row, each of which is logged once.
#[derive(Debug, Default)]
pub(crate) struct Refused(Mutex<HashSet<JobId>>);

impl Refused {
    /// A job could not be promoted, rescued or removed. It stays as it is, and the others do not wait for it.
    pub(crate) fn note(&self, job: JobId, fault: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        if known.insert(job) {
            tracing::error!(%job, fault, "the database does not accept a row of the job; upkeep passes the job over");
        }
    }
}
