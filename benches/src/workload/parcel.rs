//! The payload of every job: a number, and enough beside it for the length asked for.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::SystemTime;

use queue::{HandlerResult, JobContext, TaskDefinition};
use serde::{Deserialize, Serialize};

/// What the JSON text has around the two values.
const FRAME: usize = r#"{"number":,"padding":""}"#.len();

/// When the job with this number started, by the system's clock, which is the same for all processes.
pub(super) type Start = (usize, SystemTime);

/// A payload that no other job has.
#[derive(Debug, Clone, Hash, Serialize, Deserialize)]
pub(super) struct Parcel {
    pub(super) number: usize,
    padding: String,
}

impl Parcel {
    /// Its JSON text has `bytes` bytes, unless the number alone needs more.
    pub(super) fn new(number: usize, bytes: usize) -> Self {
        let digits = number.to_string().len();
        Self { number, padding: "x".repeat(bytes.saturating_sub(FRAME + digits)) }
    }

    /// Sums of these tell whether two collections of parcels are the same, in whatever order.
    pub(super) fn checksum(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// The task of the workloads, with its default options.
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
    fn the_text_is_as_long_as_asked() {
        for (number, bytes) in [(0, 32), (12_345_678, 32), (7, 40), (199_999, 1000)] {
            let text = serde_json::to_string(&Parcel::new(number, bytes)).unwrap();
            assert_eq!(text.len(), bytes, "{text}");
        }
    }

    #[test]
    fn parcels_differ_in_their_checksums() {
        assert_ne!(Parcel::new(1, 40).checksum(), Parcel::new(2, 40).checksum());
        assert_ne!(Parcel::new(1, 40).checksum(), Parcel::new(1, 41).checksum());
    }
}
