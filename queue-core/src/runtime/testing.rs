//! What the unit tests of the runtime share.

use std::time::Duration;

use crate::backend::ClaimedJob;
use crate::{ClaimId, JobId, Kind, Payload, QueueName, Timestamp, Token};

/// A claimed job of this priority.
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
