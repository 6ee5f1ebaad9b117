//! What the unit tests of the runtime share.

use std::time::Duration;

use crate::backend::ClaimedJob;
use crate::{ClaimId, JobId, JobSpec, Kind, Payload, Timestamp};

/// A claimed job of this priority.
pub(super) fn claimed(priority: i16) -> ClaimedJob {
    let job = JobSpec::new(JobId::generate(), Kind::new("test").unwrap(), Payload::json("null").unwrap())
        .priority(priority)
        .max_retries(3)
        .timeout(Duration::from_secs(60));
    ClaimedJob::new(ClaimId::from_bytes([7; 16]), 1, Timestamp::UNIX_EPOCH, job)
}
