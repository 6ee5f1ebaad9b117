//! What is measured, for the recorder of the program. `docs/observability.md` lists the metrics.

#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod on;

#[cfg(all(not(feature = "metrics"), feature = "runtime"))]
pub(crate) use off::Held;
#[cfg(not(feature = "metrics"))]
pub(crate) use off::Metrics;
#[cfg(all(feature = "metrics", feature = "runtime"))]
pub(crate) use on::Held;
#[cfg(feature = "metrics")]
pub(crate) use on::Metrics;

/// A request to the storage whose time is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Enqueue,
    #[cfg(feature = "runtime")]
    Claim,
    #[cfg(feature = "runtime")]
    Settle,
}

impl Operation {
    #[cfg(feature = "metrics")]
    const COUNT: usize = 3;
}
