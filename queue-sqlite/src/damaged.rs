//! Jobs that cannot be read.

use std::collections::HashSet;

use crate::error::Outcome;

/// The jobs that were passed over, each of which is logged once.
///
/// Nothing but the log depends on it: a row that was mended, or another job that a restored copy
/// has under the same number, is read as any other.
#[derive(Default)]
pub(crate) struct Damaged(HashSet<i64>);

impl Damaged {
    /// What was read of a job, or `None` if it cannot be understood: one such job, which stays where
    /// it is, must not stand in the way of all others.
    pub(crate) fn pass_over<T>(&mut self, seq: i64, read: Outcome<T>) -> Outcome<Option<T>> {
        match read {
            Err(fault) if fault.is_of_a_value() => {
                if self.0.insert(seq) {
                    let error = fault.into_error("read a job", None);
                    tracing::error!(seq, %error, "a stored job cannot be read, or not all of it is there; it is passed over");
                }
                Ok(None)
            }
            read => read.map(Some),
        }
    }
}
