//! State that several loops of a worker share.
//!
//! Nothing here runs by itself: the loops call these types and wait for their signals.

pub(crate) mod claim_signals;
pub(crate) mod membership;
pub(crate) mod running;
pub(crate) mod served_backend;
pub(crate) mod settlement_queue;
pub(crate) mod slots;
pub(crate) mod worker_state;
