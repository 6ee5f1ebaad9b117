//! Decisions without side effects: plain values to which the loops pass the time.
//!
//! Nothing here awaits, locks, logs or reads a clock, so that each decision is tested by calling
//! it.

pub(crate) mod buffer;
mod buffer_size;
pub(crate) mod deadline;
pub(crate) mod heartbeat;
pub(crate) mod outage_backoff;
pub(crate) mod planner;
pub(crate) mod settlement;
pub(crate) mod unhandled;
