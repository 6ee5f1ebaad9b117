//! Helpers for the unit tests of the runtime.

use std::time::{Duration, Instant};

use crate::backend::{ClaimedJob, Settlement, Verdict};
use crate::runtime::decide::settlement::PendingSettlement;
use crate::{ClaimId, JobId, Kind, Payload, QueueName, Timestamp, Token};

/// A claimed job with this priority.
pub(crate) fn claimed(priority: i16) -> ClaimedJob {
    ClaimedJob {
        token: Token { job: JobId::generate(), claim: ClaimId::from_bytes([7; 16]) },
        kind: Kind::new("test").unwrap(),
        queue: QueueName::default(),
        priority,
        run_at: Timestamp::UNIX_EPOCH,
        attempt: 1,
        max_retries: 3,
        timeout: Duration::from_secs(60),
        backoff: None,
        payload: Payload::json("null").unwrap(),
    }
}

/// The settlement of a job that completed, with a minute left of its lease.
pub(crate) fn completed(result: Option<Vec<u8>>) -> PendingSettlement {
    let settlement = Settlement::new(claimed(0).token, Verdict::Complete { result });
    PendingSettlement::new(settlement, Instant::now() + Duration::from_secs(60))
}
