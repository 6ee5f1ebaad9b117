//! Crashes: children of the test program that use the storage, and what is checked once they were killed.
//!
//! Each child says of every operation what it asks for, before, and what it was answered, after. When all is
//! drained, the [`ledger`] holds what all of them said against what is stored.

pub(crate) mod actor;
pub(crate) mod crew;
pub(crate) mod enqueue;
pub(crate) mod event;
pub(crate) mod kills;
pub(crate) mod ledger;
pub(crate) mod messages;
pub(crate) mod rare;
pub(crate) mod run;
pub(crate) mod soak;
pub(crate) mod testimony;
mod told;
mod voice;
pub(crate) mod work;
