//! The lines that a child of the suite and its parent exchange.

/// From a child before it opens the storage.
pub(crate) const OPENING: &str = "opening";
/// From a child after it opened the storage.
pub(crate) const OPENED: &str = "opened";
/// From a child that has no work left.
pub(crate) const IDLE: &str = "idle";
/// From a parent, so that the child ends in an orderly way.
pub(crate) const END: &str = "end";
