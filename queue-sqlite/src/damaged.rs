//! Unreadable jobs.

use std::collections::HashSet;

use crate::error::Outcome;

/// The unreadable jobs that were skipped. Each is logged once.
///
/// Only the log depends on this set. A repaired row, or another job with the same number from a
/// restored copy, is read as usual.
#[derive(Default)]
pub(crate) struct Damaged(HashSet<i64>);

impl Damaged {
    /// Returns the job, or `None` if it is unreadable. An unreadable job stays where it is and must
    /// never block other jobs.
    pub(crate) fn pass_over<T>(&mut self, seq: i64, read: Outcome<T>) -> Outcome<Option<T>> {
        match read {
            Err(fault) if fault.is_of_a_value() => {
                if self.0.insert(seq) {
                    let error = fault.into_error("read a job", None);
                    tracing::error!(seq, %error, "a stored job is unreadable or incomplete; skipping it");
                }
                Ok(None)
            }
            read => read.map(Some),
        }
    }
}
