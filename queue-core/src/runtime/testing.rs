//! Helpers for the unit tests of the runtime.

use std::time::{Duration, Instant};

use crate::backend::{ClaimedJob, Completion, Settlement, Verdict};
use crate::runtime::decide::settlement::PendingSettlement;
use crate::{ClaimId, JobId, JobSpec, Kind, Payload, Timestamp};

/// A job of the kind `test`.
pub(crate) fn spec() -> JobSpec {
    JobSpec::new(JobId::generate(), Kind::new("test").unwrap(), Payload::json("null").unwrap())
}

/// A claimed job with this priority.
pub(crate) fn claimed(priority: i16) -> ClaimedJob {
    let job = spec().priority(priority).max_retries(3).timeout(Duration::from_secs(60));
    ClaimedJob::new(ClaimId::from_bytes([7; 16]), 1, Timestamp::UNIX_EPOCH, job)
}

/// The settlement of a job that completed, with a minute left of its lease.
pub(crate) fn completed(result: Option<Vec<u8>>) -> PendingSettlement {
    let verdict = Verdict::Complete(Completion::new().result(result));
    let settlement = Settlement::new(claimed(0).token, verdict);
    PendingSettlement::new(settlement, Instant::now() + Duration::from_secs(60))
}
