//! The position of the pruning sweep.

use queue_core::JobId;

use crate::types::Id;

/// Finished jobs that a sweep reads per job that it may remove.
const READS_PER_JOB: u32 = 10;
/// Minimum number of finished jobs that a sweep reads.
const MIN_READS: u32 = 1000;

/// The finished job after which the sweep continues (default: it starts with the first).
#[derive(Debug, Clone, Copy)]
pub(crate) struct SweepPosition(pub(crate) Id);

impl Default for SweepPosition {
    fn default() -> Self {
        Self(Id::from(JobId::from_bytes([0; 16])))
    }
}

/// Number of jobs that one sweep reads.
pub(crate) fn max_reads(limit: u32) -> i32 {
    i32::try_from(limit.saturating_mul(READS_PER_JOB).max(MIN_READS)).unwrap_or(i32::MAX)
}
