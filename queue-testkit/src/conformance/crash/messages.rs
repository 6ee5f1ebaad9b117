//! What a child of the suite and its parent say to each other.

/// A child says it before it opens the storage.
pub(crate) const OPENING: &str = "opening";
/// A child says it after it opened the storage.
pub(crate) const OPENED: &str = "opened";
/// A child says it when there is nothing left to do.
pub(crate) const IDLE: &str = "idle";
/// A parent says it to have the child end in good order.
pub(crate) const END: &str = "end";
