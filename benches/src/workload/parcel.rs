//! The payload of all jobs: a number, and padding to the requested length.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::SystemTime;

use queue::{HandlerResult, JobContext, TaskDefinition};
use serde::{Deserialize, Serialize};

/// The length of the JSON text without the two values.
const FRAME: usize = r#"{"number":,"padding":""}"#.len();

/// The number of a job and its start time by the system clock, which all processes share.
pub(super) type Start = (usize, SystemTime);

/// A unique payload.
#[derive(Debug, Clone, Hash, Serialize, Deserialize)]
pub(super) struct Parcel {
    pub(super) number: usize,
    padding: String,
}

impl Parcel {
    /// Creates a payload whose JSON text has `bytes` bytes, unless the number needs more.
    pub(super) fn new(number: usize, bytes: usize) -> Self {
        let digits = number.to_string().len();
        Self { number, padding: "x".repeat(bytes.saturating_sub(FRAME + digits)) }
    }

    /// A checksum. Two sets of payloads are equal if the sums of their checksums are.
    pub(super) fn checksum(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// The task of the workloads with default options.
pub(super) fn task<F, Fut>(handler: F) -> TaskDefinition<Parcel>
where
    F: Fn(JobContext, Parcel) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    TaskDefinition::from_fn("parcel", handler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_has_the_requested_length() {
        for (number, bytes) in [(0, 32), (12_345_678, 32), (7, 40), (199_999, 1000)] {
            let text = serde_json::to_string(&Parcel::new(number, bytes)).unwrap();
            assert_eq!(text.len(), bytes, "{text}");
        }
    }

    #[test]
    fn payloads_differ_in_their_checksums() {
        assert_ne!(Parcel::new(1, 40).checksum(), Parcel::new(2, 40).checksum());
        assert_ne!(Parcel::new(1, 40).checksum(), Parcel::new(1, 41).checksum());
    }
}
