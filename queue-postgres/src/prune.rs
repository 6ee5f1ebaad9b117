//! Where pruning goes on.

use queue_core::JobId;

use crate::types::Id;

/// How many finished jobs are looked at for each that may be removed, and at least.
const LOOKS_A_JOB: u32 = 10;
const LEAST_LOOKS: u32 = 1000;

/// The finished job behind which the sweep goes on; by default it begins with the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(pub(crate) Id);

impl Default for Place {
    fn default() -> Self {
        Self(Id::from(JobId::from_bytes([0; 16])))
    }
}

/// How many jobs a piece of the sweep looks at.
pub(crate) fn looks(limit: u32) -> i32 {
    i32::try_from(limit.saturating_mul(LOOKS_A_JOB).max(LEAST_LOOKS)).unwrap_or(i32::MAX)
}
