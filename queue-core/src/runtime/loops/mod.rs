//! The tasks of a worker: per backend a claim, a settle, a heartbeat and an upkeep loop, and one
//! that fires schedules; per slot one loop that runs jobs; and the shutdown that ends them.
//!
//! A loop awaits and acts. It asks [`decide`](super::decide) what to do, and meets the other loops
//! only in [`shared`](super::shared).

pub(crate) mod claim;
pub(crate) mod heartbeat;
mod outage;
#[cfg(feature = "schedules")]
pub(crate) mod schedules;
pub(crate) mod settle;
pub(crate) mod shutdown;
pub(crate) mod slot;
pub(crate) mod tasks;
pub(crate) mod upkeep;
