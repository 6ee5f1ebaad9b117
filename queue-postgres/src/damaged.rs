//! Jobs that cannot be read.

use tokio_postgres::Row;
use tracing::field::display;

use crate::error::{Effect, Outcome};
use crate::row;

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
