//! Crashes: child processes that use the storage and are killed, and the checks afterwards.
//!
//! Each child writes the events of its operations to its parent, which adds them to the
//! [history](super::history) of the storage once the child has ended.

pub(crate) mod actor;
pub(crate) mod crew;
pub(crate) mod enqueue;
pub(crate) mod fire;
pub(crate) mod kills;
pub(crate) mod messages;
pub(crate) mod rare;
pub(crate) mod run;
pub(crate) mod soak;
pub(crate) mod transact;
pub(crate) mod work;
